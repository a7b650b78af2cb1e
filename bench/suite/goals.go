package suite

// overTgt and ofFloor are the goals that only differ in cell and limit.
func overTgt(text, cell string, limit float64) Goal {
	return Goal{Text: text + ", IOPS against tgt", Kind: AsRatio, Cell: cell, Who: "lunar", Versus: "tgt", Metric: IOPS, AtLeast: true, Limit: limit, Unit: "×"}
}

func ofFloor(text, cell string, limit float64) Goal {
	return Goal{Text: text + ", IOPS against the floor", Kind: AsRatio, Cell: cell, Who: "lunar", Versus: "floor", Metric: IOPS, AtLeast: true, Limit: limit, Unit: "×"}
}

func ofDisk(text, cell string) Goal {
	return Goal{
		Text: text + ", IOPS against fio on the disk", Kind: AsRatio, Cell: cell, Who: "lunar", Versus: "fio", Metric: IOPS, AtLeast: true, Limit: 0.9, Unit: "×",
		Note: "on the same file; fio has no network before it",
	}
}

func figure(text, name string, limit float64, unit string) Goal {
	return Goal{Text: text, Kind: AsFigure, Cell: name, Limit: limit, Unit: unit}
}

func least(text, name string, limit float64, unit string) Goal {
	return Goal{Text: text, Kind: AsFigure, Cell: name, AtLeast: true, Limit: limit, Unit: unit}
}

// goals are what the project promised itself.
var goals = []Goal{
	overTgt("4 KiB random read, depth 1", "ram/randread-4k-qd1", 2.2),
	overTgt("4 KiB random read, depth 32", "ram/randread-4k-qd32", 11),
	overTgt("4 KiB random read, 4 sessions of depth 16", "ram/randread-4k-4x16", 9),
	overTgt("4 KiB random write, immediate data, depth 32", "ram/randwrite-4k-qd32", 11),
	overTgt("128 KiB read, depth 8", "ram/read-128k-qd8", 5),
	overTgt("128 KiB write, depth 8", "ram/write-128k-qd8", 6),
	overTgt("4 KiB random read, depth 32, both digests", "ram/randread-4k-qd32/both", 15),
	overTgt("file unit, 4 KiB random read, depth 32", "file/randread-4k-qd32", 1.8),
	overTgt("file unit, 4 KiB random write, depth 32", "file/randwrite-4k-qd32", 2.5),

	ofFloor("4 KiB random read, depth 1", "ram/randread-4k-qd1/polling", 0.9),
	{
		Text: "4 KiB random read, depth 1, p50 above the floor's", Kind: AsDifference, Cell: "ram/randread-4k-qd1/polling",
		Who: "lunar", Versus: "floor", Metric: P50, Limit: 0.8, Unit: " µs",
	},
	ofFloor("4 KiB random read, depth 32", "ram/randread-4k-qd32/polling", 0.75),
	ofFloor("4 KiB random write, immediate data, depth 32", "ram/randwrite-4k-qd32/polling", 0.72),
	ofFloor("4 KiB random read, 4 sessions of depth 16", "ram/randread-4k-4x16/polling", 0.72),
	ofFloor("128 KiB read, depth 8", "ram/read-128k-qd8/polling", 0.9),
	ofFloor("128 KiB write, depth 8", "ram/write-128k-qd8/polling", 0.9),
	ofDisk("file unit, 4 KiB random read, depth 32", "file/randread-4k-qd32/polling"),
	ofDisk("file unit, 4 KiB random write, depth 32", "file/randwrite-4k-qd32/polling"),
	{
		Text: "block device, 4 KiB random read, depth 32, IOPS against the floor that reads it", Kind: AsRatio, Cell: "device/randread-4k-qd32",
		Who: onDevice, Versus: deviceFloor, Metric: IOPS, AtLeast: true, Limit: 0.95, Unit: "×",
		Note: "fio on the device has no network before it",
	},

	{
		Text: "target's processor time per 4 KiB read, depth 32, against the floor's", Kind: AsRatio, Cell: "ram/randread-4k-qd32/polling/cost",
		Who: "lunar-sleep", Versus: "floor-sleep", Metric: TargetCost, Limit: 1.3, Unit: "×",
	},
	{
		Text: "target's processor time per 4 KiB write, depth 32, against the floor's", Kind: AsRatio, Cell: "ram/randwrite-4k-qd32/polling/cost",
		Who: "lunar-sleep", Versus: "floor-sleep", Metric: TargetCost, Limit: 1.3, Unit: "×",
	},
	{
		Text: "what both digests cost the target per 4 KiB read, depth 32", Kind: AsDifference, Cell: "ram/randread-4k-qd32/polling/cost",
		Who: "lunar-sleep-both", Versus: "lunar-sleep", Metric: TargetCost, Limit: 0.2, Unit: " µs",
	},
	{
		Text: "what both digests cost the target per 4 KiB write, depth 32", Kind: AsDifference, Cell: "ram/randwrite-4k-qd32/polling/cost",
		Who: "lunar-sleep-both", Versus: "lunar-sleep", Metric: TargetCost, Limit: 0.2, Unit: " µs",
	},
	{
		Text: "processor time per read with two reactors against one", Kind: AsRatio, Cell: "ram/randread-4k-2x32",
		Who: "lunar-two", Versus: "lunar-sleep", Metric: TargetCost, Limit: 1.15, Unit: "×",
		Note: "two sessions of depth 32; the second reactor shares the generator's processor and caches, and each sees half of what one would batch",
	},
	figure("system calls per operation, depth 32", "syscalls", 0.2, ""),
	figure("allocations per READ", "allocations-read", 0, ""),
	figure("allocations per WRITE", "allocations-write", 0, ""),
	{
		Text: "p99.9 against p50, 4 KiB random read, depth 32", Kind: AsValue, Cell: "ram/randread-4k-qd32",
		Who: "lunar", Metric: Tail, Limit: 3, Unit: "×",
	},
	{
		Text: "the same, polling", Kind: AsValue, Cell: "ram/randread-4k-qd32/polling",
		Who: "lunar", Metric: Tail, Limit: 3, Unit: "×",
		Note: "see the floor's in the same table: what delays one in a thousand is mostly below the target",
	},
	{
		Text: "p99.9 while 100 MiB/s are allocated beside, against without", Kind: AsRatio, Cell: "ram/randread-4k-qd32-beside",
		Who: "lunar-allocating", Versus: "lunar-quiet", Metric: P999, Limit: 1.5, Unit: "×",
		Note: "random reads at depth 32 by the sleeping generator, so that the collector finds processor time; at a given rate, where a stall counts for every read that was due meanwhile, the stalls of this shared machine decide, with and without: that is in a table below",
	},
	{
		Text: "p50 of a read that wakes the daemon", Kind: AsValue, Cell: "ram/randread-4k-qd1-200ps/polling",
		Who: "lunar", Metric: P50, Limit: 100, Unit: " µs", Note: "the daemon sleeps 5 ms between operations; the generator polls, so that no wake-up but the daemon's is in it",
	},
	figure("idle daemon", "idle/lunar", 1, " % of a core"),
	figure("resident memory without units", "rss", 22, " MiB"),
	least("logins, one after the other, against tgt", "logins-ratio-1", 1.25, "×"),
	least("logins, eight at a time, against tgt", "logins-ratio-8", 1.25, "×"),
	least("reads beside 3,000 half-open logins, against reads without", "flood", 0.95, "×"),
	figure("first login after the start of the process", "first-login", 40, " ms"),
}
