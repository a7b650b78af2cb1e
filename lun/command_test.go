package lun

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// command makes a command of a nexus on a reactor from a CDB in hex.
func command(t reporter, reactor int, id uint64, cdb string) *sam.Command {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(cdb, " ", ""))
	if err != nil {
		t.Fatalf("CDB %q: %v", cdb, err)
	}
	c := &sam.Command{CDBBytes: 16, Owner: Owner(reactor, id), Nexus: sam.Nexus(reactor)}
	copy(c.CDB[:], b)
	return c
}

// begin begins a command and waits for the decision.
func (w *world) begin(r int, c *sam.Command) {
	w.t.Helper()
	done := w.locals[r].Begin(w.unit, c)
	if done != (r == home) {
		w.t.Fatalf("Begin on reactor %d: done %v", r, done)
	}
	if !done {
		w.want(c.Owner, Begun)
	}
}

// execute starts an Execute with the data from the initiator; it is true when
// the command is done already.
func (w *world) execute(r int, c *sam.Command, out []byte) bool {
	c.Buffer = make([]byte, max(c.DataInBytes, c.DataOutBytes))
	c.Received = copy(c.Buffer[:c.DataOutBytes], out)
	return w.locals[r].Execute(w.unit, c)
}

// do carries a whole command out as a transport does and returns its data.
func (w *world) do(r int, c *sam.Command, out []byte) (in []byte) {
	w.t.Helper()
	c.ExpectedOutBytes = int64(len(out))
	w.begin(r, c)
	switch c.Action {
	case sam.Execute:
		if !w.execute(r, c, out) {
			w.want(c.Owner, Executed)
		}
		in = c.Buffer[:c.DataInBytes]
	case sam.ReadMedium, sam.WriteMedium, sam.CompareMedium:
		q := w.move(r, c, out)
		in = fmt.Appendf(nil, "%d %d %x", q.Result, q.Progress, q.Data)
	}
	w.locals[r].Finish(w.unit, c)
	w.settle()
	return in
}

// move runs the one request of a medium command.
func (w *world) move(r int, c *sam.Command, out []byte) *blk.Request {
	w.t.Helper()
	q := &blk.Request{Op: blk.Write, Offset: c.Extent.Offset, Length: c.Extent.Bytes, Data: out, Tag: c.Owner}
	switch c.Action {
	case sam.ReadMedium:
		q.Op, q.Data = blk.Read, make([]byte, c.Extent.Bytes)
		w.locals[r].Move(w.unit, q)
	case sam.WriteMedium:
		w.locals[r].Move(w.unit, q)
	default:
		q.Op = blk.Read
		w.locals[r].Compare(w.unit, q)
	}
	if e := w.want(c.Owner, Moved); e[0].Request != q {
		w.t.Fatalf("moved %+v", e[0].Request)
	}
	return q
}

// unmapList is a parameter list of UNMAP.
func unmapList(pairs ...uint64) []byte {
	b := make([]byte, 8)
	for i := 0; i < len(pairs); i += 2 {
		b = binary.BigEndian.AppendUint64(b, pairs[i])
		b = binary.BigEndian.AppendUint32(b, uint32(pairs[i+1]))
		b = append(b, 0, 0, 0, 0)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-8))
	return b
}

// Whatever a command does, nobody can tell whether its unit is at home here.
func TestLocal_HomeAndRemote_SameOutcome(t *testing.T) {
	block := bytes.Repeat([]byte{0x5a, 1}, testBlock/2)
	same := newDisk().mem[16*testBlock : 18*testBlock]
	other := bytes.Clone(same)
	other[700] ^= 1
	script := []struct {
		cdb string
		out []byte
	}{
		{"00", nil},
		{"ff", nil},
		{"12 00 00 00 60", nil},
		{"28 00 00 00 00 10 00 00 02", nil},
		{"28 00 00 ff ff ff 00 00 02", nil},
		{"2a 00 00 00 00 20 00 00 02", append(bytes.Clone(block), block...)},
		{"2f 02 00 00 00 10 00 00 02", same},
		{"2f 02 00 00 00 10 00 00 02", other},
		{"2f 00 00 00 00 00 00 10 00", nil},
		{"2f 06 00 00 00 20 00 00 02", block},
		{"2f 06 00 00 00 1f 00 00 02", block},
		{"41 00 00 00 01 00 00 08 00", block},
		{"41 00 00 00 20 00 00 08 00", make([]byte, testBlock)},
		{"42 00 00 00 00 00 00 00 28", unmapList(64, 32, 4096, 1)},
		{"42 00 00 00 00 00 00 00 08", unmapList()},
		{"9e 12 00 00 00 00 00 00 00 3c 00 00 00 f0", nil},
		{"35", nil},
		{"89 00 00 00 00 00 00 00 00 10 00 00 00 01", append(bytes.Clone(same[:testBlock]), block...)},
		{"89 00 00 00 00 00 00 00 00 10 00 00 00 01", append(bytes.Clone(same[:testBlock]), block...)},
		{"28 00 00 00 00 10 00 00 01", nil},
	}
	var outcomes [2][]string
	var media [2][]byte
	for r := range outcomes {
		w := newWorld(t)
		for i, s := range script {
			c := command(t, r, uint64(i)+1, s.cdb)
			in := w.do(r, c, s.out)
			outcomes[r] = append(outcomes[r], fmt.Sprintf("%s: action %d, status %v, sense %+v, %x", s.cdb, c.Action, c.Status, c.Sense, in))
		}
		w.idle()
		media[r] = w.disk.mem
	}
	for i := range script {
		if outcomes[home][i] != outcomes[away][i] {
			t.Errorf("at home %.200s\nremote  %.200s", outcomes[home][i], outcomes[away][i])
		}
	}
	if !bytes.Equal(media[home], media[away]) {
		t.Error("the media differ")
	}
	// The script did something: this comparison differs, and this hole was found.
	if o := outcomes[home][7]; !strings.Contains(o, fmt.Sprintf("%x", fmt.Sprintf("%d 700 ", blk.Differs))) {
		t.Errorf("comparison: %.200s", o)
	}
	if o := outcomes[home][15]; !strings.Contains(o, "0000000000000040"+"00000020"+"01") {
		t.Errorf("provisioning status: %s", o)
	}
}

// Requests of one turn cross to the medium together, in order.
func TestLocal_Move_OneBatchForATurn(t *testing.T) {
	w := newWorld(t)
	w.disk.hold = true
	for i := range 5 {
		w.locals[home].Move(w.unit, &blk.Request{Op: blk.Read, Offset: int64(i) * 512, Length: 512, Data: make([]byte, 512), Tag: Owner(home, uint64(i))})
	}
	if len(w.disk.held) != 0 || w.locals[home].Running() != 5 {
		t.Fatalf("%d requests went out before the turn ended, %d running", len(w.disk.held), w.locals[home].Running())
	}
	w.settle()
	for i, r := range w.disk.held {
		if r.Offset != int64(i)*512 {
			t.Errorf("request %d is at %d", i, r.Offset)
		}
	}
	for i := range uint64(5) {
		w.locals[home].Complete(0, 0)
		w.want(Owner(home, i), Moved)
	}
	w.idle()
}

// Every LUN finds a unit; those without one answer on each reactor by
// themselves.
func TestMap_Find(t *testing.T) {
	w := newWorld(t)
	m := NewMap(sam.Path{}, []Entry{{}, {Unit: w.unit, ReadOnly: true}}, NewAbsent(2))
	for n, want := range map[uint16]*Unit{0: m.absent[away], 1: w.unit, 2: m.absent[away], 300: m.absent[away]} {
		e, present := m.Find(sam.LUNOf(n), away)
		if u := e.Unit; u != want || present != (want == w.unit) || e.ReadOnly != present {
			t.Errorf("LUN %d: present %v, home %d", n, present, u.Home())
		}
	}
	if u := m.absent[away]; u.Home() != away {
		t.Errorf("the answer for no unit is at home on %d", u.Home())
	}
	c := command(t, away, 1, "00")
	if !w.locals[away].Begin(m.absent[away], c) || c.Sense.Code != 0x2500 {
		t.Errorf("TEST UNIT READY without a unit: %+v", c.Sense)
	}
	m.Units(func(u *Unit) { w.locals[away].Lose(u, 1) })
	w.settle()
}

// A comparison that the medium ends says how far it came, as a read does.
func TestLocal_Compare_MediumError_KeepsProgress(t *testing.T) {
	for r := range 2 {
		w := newWorld(t)
		w.disk.refuse = func(q *blk.Request) blk.Result {
			q.Progress = 3 * testBlock
			return blk.MediumError
		}
		q := &blk.Request{Op: blk.Read, Length: 8 * testBlock, Data: make([]byte, 8*testBlock), Tag: Owner(r, 1)}
		w.locals[r].Compare(w.unit, q)
		w.want(q.Tag, Moved)
		if q.Result != blk.MediumError || q.Progress != 3*testBlock {
			t.Errorf("result %d, progress %d", q.Result, q.Progress)
		}
		w.idle()
	}
}
