package engine

import (
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/initiator"
	"lunar/scsi/sam"
)

// A target has as many numbers as flat addressing can say; each leads to its unit (SAM-5
// §4.6.8).
func TestLUNs_AsManyAsThereAreNumbers(t *testing.T) {
	const units = 64
	cfg := testConfig(t, 2, Unit{Name: "first", Medium: Null, Bytes: 1 << 20, BlockBytes: 512})
	for n := 1; n < units; n++ {
		cfg.Units = append(cfg.Units, Unit{Name: fmt.Sprint("unit", n), Medium: Null, Bytes: int64(n+1) << 20, BlockBytes: 512})
	}
	mapping := cfg.Targets[0].LUNs[:0]
	for n := range maxLUNs {
		mapping = append(mapping, Mapping{Number: uint16(n), Unit: cfg.Units[n%units].Name})
	}
	cfg.Targets[0].LUNs = mapping
	s := dialWith(t, start(t, cfg), initiator.Config{})
	in := make([]byte, 8+8*maxLUNs)
	r, err := s.Do(t.Context(), initiator.Command{CDB: append(binary.BigEndian.AppendUint32([]byte{0xa0, 0, 0, 0, 0, 0}, uint32(len(in))), 0, 0), In: in})
	if err == nil && len(in) != r.Read {
		err = fmt.Errorf("%d bytes of %d", r.Read, len(in))
	}
	if err != nil {
		t.Fatalf("REPORT LUNS: %v %v", r.Status, err)
	}
	for n := range maxLUNs {
		if got := sam.LUN(binary.BigEndian.Uint64(in[8+8*n:])); got != sam.LUNOf(uint16(n)) {
			t.Fatalf("number %d is listed as %x", n, got)
		}
	}
	for _, n := range []uint16{0, 1, 63, 64, 255, 256, 16383} {
		d, err := initiator.OpenDisk(t.Context(), s, n)
		if err != nil {
			t.Fatalf("number %d: %v", n, err)
		}
		if want := int64(n%units+1) << 20; d.Bytes() != want {
			t.Errorf("number %d has %d bytes, want %d", n, d.Bytes(), want)
		}
	}
}
