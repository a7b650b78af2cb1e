package suite

// Contestant is what a row of a cell measures: a server, and how it is used.
type Contestant struct {
	Name string
	// Server names the process, of servers.
	Server string
	// Text tells the reader what it is.
	Text string
	// Digests, unless none, are used instead of the cell's.
	Digests Digests
	// Allocating has the process allocate besides serving.
	Allocating bool
	// Rounds, unless 0, is the most rounds it takes part in.
	Rounds int
	// NoDigests, unless empty, is why it takes no part in cells with digests.
	NoDigests string
	// Peer is the word by which a user asks for it; none for what is always there.
	Peer string
}

// contestants are all there are, in the order they are explained.
var contestants = []Contestant{
	{Name: "lunar", Server: "lunar", Text: "`lunar serve --reactors 0,`: one reactor on io_uring that spins for 50 µs after work and then sleeps; the file unit has `direct=on`"},
	{Name: "lunar-epoll", Server: "lunar-epoll", Text: "the same with `--ring epoll`"},
	{Name: "lunar-sleep", Server: "lunar-sleep", Text: "the same as lunar with `--poll sleep`, so that processor time is a cost and not a habit"},
	{Name: "lunar-sleep-both", Server: "lunar-sleep", Digests: BothDigests, Text: "that process, sessions with both digests"},
	{Name: "lunar-two", Server: "lunar-two", Text: "`--poll sleep` with a reactor on each of two processors, of which the generator has one"},
	{Name: "lunar-quiet", Server: "lunar-churn", Text: "the same target inside a program of its own, which could allocate and does not"},
	{Name: "lunar-allocating", Server: "lunar-churn", Allocating: true, Text: "the same process while another goroutine allocates 100 MiB/s and keeps 32 MiB alive"},
	{Name: "floor", Server: "floor", Peer: "floor", Text: "a bare server on Lunar's reactor that answers requests of the same sizes and does nothing else: the machine's limit"},
	{Name: "floor-sleep", Server: "floor-sleep", Peer: "floor", Text: "the floor with a reactor that always sleeps"},
	{Name: "tgt", Server: "tgt", Peer: "tgt", Text: "Debian's tgtd, 16 threads for each unit; RAM unit in /dev/shm, file unit with `--bsoflags direct`"},
	{Name: "istgt", Server: "istgt", Peer: "istgt", Rounds: 3, Text: "Debian's istgt, QueueDepth 128, InitialR2T=Yes since it knows no other; RAM unit in /dev/shm, file unit through the page cache. It takes a second for each logout and has at most three rounds"},
	{Name: "gotgt", Server: "gotgt", Peer: "gotgt", NoDigests: "agrees to CRC32C and then sends none", Text: "gostor/gotgt v0.2.2; RAM unit in /dev/shm, file unit through the page cache"},
	{Name: "fio", Server: "fio", Text: "no target: fio with io_uring and direct I/O on the file of Lunar's unit, on the targets' processor: the limit of the disk"},
	{Name: onDevice, Server: onDevice, Text: "as lunar-sleep, with a unit on a loop device that goes past the page cache of the file behind it"},
	{Name: deviceLimit, Server: deviceLimit, Text: "no target: fio with io_uring and direct I/O on that loop device, on the targets' processor"},
	{Name: deviceFloor, Server: deviceFloor, Peer: "floor", Rounds: 3, Text: "floor-sleep, which reads that loop device before it answers: the limit of the device behind a network"},
}

// contestant finds one by name.
func contestant(name string) (Contestant, bool) {
	for _, c := range contestants {
		if c.Name == name {
			return c, true
		}
	}
	return Contestant{}, false
}
