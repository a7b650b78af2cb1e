package reactor

import "fmt"

// PollMode is how a loop waits when it has nothing to do.
type PollMode uint8

// Poll modes. Auto polls for Config.SpinFor after the last work and then sleeps:
// as quick as Spin under load and as cheap as Sleep without.
const (
	Auto PollMode = iota
	Spin
	Sleep
)

var pollModeNames = [...]string{Auto: "auto", Spin: "spin", Sleep: "sleep"}

// String is the word that ParsePollMode reads.
func (m PollMode) String() string {
	if int(m) < len(pollModeNames) {
		return pollModeNames[m]
	}
	return fmt.Sprintf("PollMode(%d)", uint8(m))
}

// ParsePollMode reads "auto", "spin" or "sleep".
func ParsePollMode(word string) (PollMode, error) {
	for m, name := range pollModeNames {
		if name == word {
			return PollMode(m), nil
		}
	}
	return Auto, fmt.Errorf("reactor: poll mode %q: want auto, spin or sleep", word)
}
