package suite

import "time"

// Loads. A name is part of the names of cells.
var (
	read1    = Load{Name: "randread-4k-qd1", Mix: "randread", Block: 4 << 10, Depth: 1, Sessions: 1}
	read32   = Load{Name: "randread-4k-qd32", Mix: "randread", Block: 4 << 10, Depth: 32, Sessions: 1}
	read64   = Load{Name: "randread-4k-4x16", Mix: "randread", Block: 4 << 10, Depth: 16, Sessions: 4}
	write32  = Load{Name: "randwrite-4k-qd32", Mix: "randwrite", Block: 4 << 10, Depth: 32, Sessions: 1}
	asked32  = Load{Name: "randwrite-4k-qd32-r2t", Mix: "randwrite", Block: 4 << 10, Depth: 32, Sessions: 1, R2T: true}
	mixed32  = Load{Name: "mix70-4k-qd32", Mix: "mix=70", Block: 4 << 10, Depth: 32, Sessions: 1}
	read128  = Load{Name: "read-128k-qd8", Mix: "read", Block: 128 << 10, Depth: 8, Sessions: 1}
	write128 = Load{Name: "write-128k-qd8", Mix: "write", Block: 128 << 10, Depth: 8, Sessions: 1}
	asked128 = Load{Name: "write-128k-qd8-r2t", Mix: "write", Block: 128 << 10, Depth: 8, Sessions: 1, R2T: true}
	read1m   = Load{Name: "read-1m-qd4", Mix: "read", Block: 1 << 20, Depth: 4, Sessions: 1}
	write1m  = Load{Name: "write-1m-qd4", Mix: "write", Block: 1 << 20, Depth: 4, Sessions: 1}
	// woken leaves 5 ms between operations, in which every target falls asleep.
	woken = Load{Name: "randread-4k-qd1-200ps", Mix: "randread", Block: 4 << 10, Depth: 1, Sessions: 1, Rate: 200}
	// beside has turns that are long enough for collections: with the settings of the
	// daemon and churnLive alive, one comes after less than 300 MiB. paced is the same
	// at a given rate, so that every stall counts in full, those of the machine too.
	beside = Load{Name: "randread-4k-qd32-beside", Mix: "randread", Block: 4 << 10, Depth: 32, Sessions: 1, Times: 4, LeastTime: time.Second, LeastRounds: 5}
	paced  = Load{Name: "randread-4k-qd32-50kps", Mix: "randread", Block: 4 << 10, Depth: 32, Sessions: 1, Rate: 50_000, Times: 4, LeastTime: time.Second, LeastRounds: 5}
	two32  = Load{Name: "randread-4k-2x32", Mix: "randread", Block: 4 << 10, Depth: 32, Sessions: 2}
)

// Groups, in the order of the page.
const (
	groupRAM     = "RAM unit, sleeping generator"
	groupPolling = "RAM unit, polling generator"
	groupHot     = "4 MiB of a RAM unit, polling generator"
	groupDigests = "Digests, RAM unit, sleeping generator"
	groupCost    = "Processor time of a sleeping target, polling generator"
	groupFile    = "File unit, sleeping generator"
	groupDisk    = "File unit, polling generator"
	groupDevice  = "Block device, sleeping generator"
	groupAlone   = "Single questions"
)

var (
	everybody = []string{"lunar", "lunar-epoll", "tgt", "istgt", "gotgt"}
	limit     = []string{"lunar", "lunar-epoll", "floor"}
	onFile    = []string{"lunar", "tgt", "istgt", "gotgt", "fio"}
	digesting = []string{"lunar", "tgt", "istgt", "gotgt"}
	cost      = []string{"lunar-sleep", "lunar-sleep-both", "floor-sleep"}
)

// plan is the cells: every load of a row is one.
var plan = []struct {
	group   string
	unit    Unit
	digests Digests
	polling bool
	against []string
	loads   []Load
}{
	{groupRAM, Cold, NoDigests, false, everybody, []Load{
		read1, read32, read64, write32, asked32, mixed32, read128, write128, asked128, read1m, write1m,
	}},
	{groupPolling, Cold, NoDigests, true, limit, []Load{
		read1, read32, read64, write32, mixed32, read128, write128, read1m, write1m,
	}},
	{groupHot, Hot, NoDigests, true, []string{"lunar", "floor"}, []Load{read32, write32, read128, write128}},
	{groupDigests, Cold, HeaderDigests, false, digesting, []Load{read32, write32, read128}},
	{groupDigests, Cold, BothDigests, false, digesting, []Load{read32, write32, read128}},
	{groupCost, Cold, NoDigests, true, cost, []Load{read32, write32}},
	{groupFile, File, NoDigests, false, onFile, []Load{read1, read32, write32, read128, write128}},
	{groupDisk, File, NoDigests, true, []string{"lunar", "fio"}, []Load{read1, read32, write32}},
	{groupDevice, Device, NoDigests, false, []string{onDevice, deviceLimit, deviceFloor}, []Load{read32}},
	{groupAlone, Cold, NoDigests, true, []string{"lunar", "floor", "tgt"}, []Load{woken}},
	{groupAlone, Cold, NoDigests, false, []string{"lunar-quiet", "lunar-allocating"}, []Load{beside, paced}},
	{groupAlone, Cold, NoDigests, false, []string{"lunar-sleep", "lunar-two"}, []Load{two32}},
}

// Cells are all cells of the suite, in the order they run and are shown.
func Cells() []Cell {
	var all []Cell
	for _, p := range plan {
		for _, l := range p.loads {
			c := Cell{
				Name: string(p.unit) + "/" + l.Name, Group: p.group, Unit: p.unit, Load: l,
				Digests: p.digests, Polling: p.polling, Against: p.against,
			}
			if p.digests != NoDigests {
				c.Name += "/" + string(p.digests)
			}
			if p.polling {
				c.Name += "/polling"
			}
			if p.group == groupCost {
				c.Name += "/cost"
			}
			all = append(all, c)
		}
	}
	return all
}
