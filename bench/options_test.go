package bench

import (
	"strings"
	"testing"

	"lunar/initiator"
)

// What the address says of users goes into the login, and into no report.
func TestOptions_CredentialsOfTheAddress(t *testing.T) {
	u, err := initiator.ParseURL("iscsi://user%the-user-secret@192.0.2.1/iqn.2026-01.example:a/0?target_password=the-target-secret")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{URL: u}
	want := initiator.CHAP{User: "user", Secret: "the-user-secret", TargetSecret: "the-target-secret"}
	if got := o.config(nil).CHAP; got != want {
		t.Errorf("%+v", got)
	}
	if s := o.address(); strings.Contains(s, "secret") {
		t.Error(s)
	}
}
