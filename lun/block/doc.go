// Package block is a medium on a block device: held for this process alone, past the page
// cache, with the geometry that the device has.
//
// Owner: a Backend is opened and closed on the control path. Look and Usage are for one
// goroutine, which has ended before Close. What serves the device is a descriptor.Medium;
// a device that comes back under another number takes the place of the one that went in
// the same descriptor, so that no queue knows of it.
//
// A newcomer reads open.go, then topology.go (what the device says of itself), holder.go
// (why a device cannot be had) and look.go (sizes that change, devices that go and come).
//
// Sections covered: SBC-3 §4.7 (provisioning), §4.15 (caches) as far as the kernel tells
// of them; adr/0023 says what was measured.
package block
