package session

// State is the state of a target connection (RFC 3720 §7.1.3; the numbers are
// the standard's). Full feature phase begins in LoggedIn.
type State uint8

// Connection states.
const (
	Free            State = 1
	TransportUp     State = 3
	InLogin         State = 4
	LoggedIn        State = 5
	InLogout        State = 6
	LogoutRequested State = 7
	CleanupWait     State = 8
)

// Transition is what happens to a connection (RFC 3720 §7.1.4).
type Transition uint8

// Transitions, with the standard's numbers.
const (
	T3  Transition = 3  // transport connected
	T4  Transition = 4  // first Login Request received
	T5  Transition = 5  // final Login Response sent
	T6  Transition = 6  // transport closed before login
	T7  Transition = 7  // login failed or timed out
	T8  Transition = 8  // closed by a logout elsewhere or by reinstatement
	T9  Transition = 9  // Logout Request received
	T10 Transition = 10 // Logout Request received after we asked for it
	T11 Transition = 11 // we ask for a logout
	T12 Transition = 12 // we ask again
	T13 Transition = 13 // Logout Response sent
	T15 Transition = 15 // transport lost
	T16 Transition = 16 // transport lost after we asked for a logout
	T17 Transition = 17 // transport lost during logout, or logout failed
	T18 Transition = 18 // closed by a logout elsewhere after we asked
)

// edges is the table of RFC 3720 §7.1.4 for a target; what is not in it cannot
// happen.
var edges = [...]struct {
	from State
	by   Transition
	to   State
}{
	{Free, T3, TransportUp},
	{TransportUp, T4, InLogin},
	{TransportUp, T6, Free},
	{InLogin, T5, LoggedIn},
	{InLogin, T7, Free},
	{LoggedIn, T8, Free},
	{LoggedIn, T9, InLogout},
	{LoggedIn, T11, LogoutRequested},
	{LoggedIn, T15, CleanupWait},
	{InLogout, T13, Free},
	{InLogout, T17, CleanupWait},
	{LogoutRequested, T10, InLogout},
	{LogoutRequested, T12, LogoutRequested},
	{LogoutRequested, T16, CleanupWait},
	{LogoutRequested, T18, Free},
}

// Next is the state after a transition, false when the table has none.
func (s State) Next(t Transition) (State, bool) {
	for _, e := range edges {
		if e.from == s && e.by == t {
			return e.to, true
		}
	}
	return s, false
}
