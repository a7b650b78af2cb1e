package initiator

// Counters are what a session did about errors since it began.
type Counters struct {
	// Lost is how many connections were lost, Recovered how many of them at level 2, and
	// Reconnects how often the session logged in anew.
	Lost, Recovered, Reconnects int
	// Reassigned commands went on over another connection, Retried ones were sent again
	// under their number, Reissued ones began again as new commands.
	Reassigned, Retried, Reissued int
	// StatusSNACKs and DataSNACKs asked for responses and data that did not come, DataACKs
	// acknowledged data.
	StatusSNACKs, DataSNACKs, DataACKs int
	// DigestErrors are PDUs that came damaged, Rejects those of ours that the target did
	// not take.
	DigestErrors, Rejects int
}

// Counters tells what the session did about errors.
func (s *Session) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters
}
