package scsi

import (
	"bytes"
	"fmt"
	"testing"

	"lunar/scsi/sam"
)

// Both lists are there in the format asked for, and empty (SBC-3, READ DEFECT DATA).
func TestReadDefects_EmptyLists(t *testing.T) {
	d := testDevice()
	for request := range byte(32) {
		ten := fmt.Sprintf("37 00 %02x 00 00 00 00 00 ff 00", request)
		twelve := fmt.Sprintf("b7 %02x 00 00 00 00 00 00 00 ff 00 00", request)
		if request&7 > 5 {
			fails(t, d, ten, sam.IllegalRequest, 0x2400)
			fails(t, d, twelve, sam.IllegalRequest, 0x2400)
			continue
		}
		if in := good(t, d, ten); !bytes.Equal(in, []byte{0, request, 0, 0}) {
			t.Errorf("%s: % x", ten, in)
		}
		if in := good(t, d, twelve); !bytes.Equal(in, []byte{0, request, 0, 0, 0, 0, 0, 0}) {
			t.Errorf("%s: % x", twelve, in)
		}
	}
	if in := good(t, d, "b7 18 00 00 00 00 00 00 00 03 00 00"); len(in) != 3 {
		t.Errorf("an allocation length of 3 returns %d bytes", len(in))
	}
}
