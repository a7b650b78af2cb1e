package session

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// words are the name=value words of a line.
type words map[string]string

func parseWords(fields []string) words {
	w := words{}
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		w[k] = v
	}
	return w
}

func (w words) number(name string, fallback int64) int64 {
	v, ok := w[name]
	if !ok {
		return fallback
	}
	base := 10
	if name == "ttt" || name == "tag" {
		base = 16
	}
	n, err := strconv.ParseInt(v, base, 64)
	if err != nil {
		panic(fmt.Sprintf("%s=%s: %v", name, v, err))
	}
	return n
}

func (w words) has(name string) bool {
	_, ok := w[name]
	return ok
}

// configure reads the settings of a conversation from its title line.
func configure(line string) settings {
	s := defaults()
	w := parseWords(strings.Fields(line))
	p := &s.params
	p.InitialR2T = w["InitialR2T"] != "No"
	p.ImmediateData = w["ImmediateData"] != "No"
	p.MaxBurstLength = uint32(w.number("MaxBurst", int64(p.MaxBurstLength)))
	p.FirstBurstLength = uint32(w.number("FirstBurst", int64(p.FirstBurstLength)))
	p.MaxSend = uint32(w.number("MaxSend", int64(p.MaxSend)))
	p.MaxRecv = uint32(w.number("MaxRecv", int64(p.MaxRecv)))
	p.MaxOutstandingR2T = uint32(w.number("R2Ts", 1))
	p.ErrorRecoveryLevel = uint32(w.number("Level", 0))
	s.window = uint32(w.number("Window", int64(s.window)))
	s.immediate = uint32(w.number("Immediate", int64(s.immediate)))
	s.cmdSN = uint32(w.number("CmdSN", int64(s.cmdSN)))
	s.statSN = uint32(w.number("StatSN", int64(s.statSN)))
	s.discovery = w.has("Discovery")
	s.records = int(w.number("Targets", 1))
	return s
}

var requestOpcodes = map[string]pdu.Opcode{
	"nop": pdu.OpNOPOut, "cmd": pdu.OpSCSICommand, "tmf": pdu.OpTaskRequest, "login": pdu.OpLoginReq,
	"text": pdu.OpTextReq, "data": pdu.OpDataOut, "logout": pdu.OpLogoutReq, "snack": pdu.OpSNACK, "vendor": 0x1c,
}

// request builds the PDU of an I-> line.
func request(p *play, line string) (h *pdu.Header, ahs, data []byte, intact bool) {
	f := strings.Fields(line)
	w := parseWords(f[1:])
	h = new(pdu.Header)
	h.SetOpcode(requestOpcodes[f[0]])
	var flags byte
	for name, bit := range map[string]byte{"F": 0x80, "R": 0x40, "C": 0x40, "W": 0x20} {
		if w.has(name) {
			flags |= bit
		}
	}
	h.SetFlags(flags | byte(w.number("attr", 0)))
	if w.has("I") {
		h.SetImmediate()
	}
	h.SetITT(pdu.ITT(w.number("itt", -1)))
	h.SetLUN(sam.LUNOf(uint16(w.number("lun", 0))))
	r := pdu.Request{Header: h}
	r.SetExpStatSN(serial.Stat(uint32(w.number("ack", 0))))
	if h.Opcode() != pdu.OpDataOut {
		r.SetCmdSN(serial.Cmd(uint32(w.number("sn", 0))))
	}
	switch h.Opcode() {
	case pdu.OpSCSICommand:
		pdu.AsSCSICommand(h).SetEDTL(uint32(w.number("edtl", 0)))
		p.devices[h.ITT()] = deviceOf(w["dev"])
		p.held[h.ITT()] = w.has("hold")
		ahs = additional(w)
	case pdu.OpTaskRequest:
		q := pdu.AsTaskRequest(h)
		q.SetFunction(sam.Function(w.number("fn", 0)))
		q.SetReferencedTag(pdu.ITT(w.number("ref", -1)))
		q.SetRefCmdSN(serial.Cmd(uint32(w.number("refsn", 0))))
	case pdu.OpTextReq:
		data = []byte(strings.ReplaceAll(w["text"], ";", "\x00"))
	case pdu.OpSNACK:
		pdu.AsSNACK(h).SetType(pdu.SNACKType(w.number("type", 0)))
		pdu.AsSNACK(h).SetTag(uint32(w.number("tag", 0xffffffff)))
		pdu.AsSNACK(h).SetRun(uint32(w.number("beg", 0)), uint32(w.number("run", 0)))
	case pdu.OpLogoutReq:
		pdu.AsLogoutRequest(h).SetReason(pdu.LogoutReason(w.number("reason", 0)))
		pdu.AsLogoutRequest(h).SetCID(pdu.CID(w.number("cid", 1)))
	case pdu.OpDataOut:
		pdu.AsDataOut(h).SetDataSN(serial.Data(uint32(w.number("dsn", 0))))
		pdu.AsDataOut(h).SetBufferOffset(uint32(w.number("off", 0)))
	default:
	}
	if h.Opcode() == pdu.OpDataOut || h.Opcode() == pdu.OpNOPOut || h.Opcode() == pdu.OpTextReq {
		pdu.AsNOPOut(h).SetTTT(pdu.TTT(w.number("ttt", 0xffffffff)))
	}
	if w.has("ahs") {
		ahs = []byte{0, 1, 0x3f, 0}
	}
	if w.has("len") {
		data = make([]byte, w.number("len", 0))
	}
	if p.noisy {
		noise(h)
	}
	return h, ahs, data, !w.has("bad")
}

func additional(w words) []byte {
	switch {
	case w.has("bidi"):
		n := binary.BigEndian.AppendUint32([]byte{0}, uint32(w.number("bidi", 0)))
		return pdu.AppendAHS(nil, pdu.AHS{Type: pdu.AHSBidiRead, Specific: n})
	case w.has("cdb"):
		// A CDB of that many bytes; those beyond 16 count up from 16.
		rest := []byte{0}
		for i := 16; i < int(w.number("cdb", 0)); i++ {
			rest = append(rest, byte(i))
		}
		return pdu.AppendAHS(nil, pdu.AHS{Type: pdu.AHSExtendedCDB, Specific: rest})
	case w.has("badahs"):
		return []byte{0xff, 0xff, 1, 0}
	}
	return nil
}

// deviceOf reads "read:512", "write:512", "exec:24", "execin:36", "both:512/1024"
// (out and in), "fail:2400".
func deviceOf(s string) device {
	kind, arg, _ := strings.Cut(s, ":")
	n, _ := strconv.ParseInt(arg, 10, 64)
	switch kind {
	case "read":
		return device{action: sam.ReadMedium, bytes: n}
	case "write":
		return device{action: sam.WriteMedium, bytes: n}
	case "exec":
		return device{action: sam.Execute, bytes: n}
	case "both":
		out, in, _ := strings.Cut(arg, "/")
		n, _ = strconv.ParseInt(out, 10, 64)
		m, _ := strconv.ParseInt(in, 10, 64)
		return device{action: sam.Execute, bytes: n, in: m}
	case "execin":
		return device{action: sam.Execute, in: n}
	case "fail":
		code, _ := strconv.ParseUint(arg, 16, 16)
		return device{action: sam.Complete, sense: uint16(code)}
	}
	return device{action: sam.Complete}
}

// matches says whether what was said has the name and every word of want.
func matches(got, want string) bool {
	g, w := strings.Fields(got), strings.Fields(want)
	if len(w) == 0 || g[0] != w[0] {
		return false
	}
	for _, word := range w[1:] {
		if !slices.Contains(g, word) {
			return false
		}
	}
	return true
}

// conversation is one of testdata: a title, the rules it proves, and its lines.
type conversation struct {
	title, options string
	ids            []string
	lines          []line
}

type line struct{ where, verb, rest string }

// readConversations reads testdata/NAME. A title line is "== title [IDs] | settings"
// with the rules the conversation proves, and traps as "trap 7".
func readConversations(t *testing.T, name string) (all []conversation) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		text := strings.TrimSpace(sc.Text())
		verb, rest, _ := strings.Cut(text, " ")
		switch {
		case text == "" || verb == "#":
		case verb == "==":
			title, options, _ := strings.Cut(rest, "|")
			title, ids, _ := strings.Cut(title, "[")
			ids, _, _ = strings.Cut(strings.ReplaceAll(ids, "trap ", "trap_"), "]")
			c := conversation{title: strings.TrimSpace(title), options: options, ids: strings.Fields(ids)}
			all = append(all, c)
		case len(all) == 0:
			t.Fatalf("%s:%d: a line before the first title", name, n)
		default:
			c := &all[len(all)-1]
			c.lines = append(c.lines, line{fmt.Sprintf("%s:%d", name, n), verb, rest})
		}
	}
	return all
}

func conversationFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	return files
}

// TestConversations plays testdata/*.txt. "I->" is a PDU of the initiator, "D->" a
// held command that goes on, "N->" a tick in which no data came, or other data did,
// "G->" that sent data is gone or there again, "T->" what the target says next: its name and each
// word that matters. Whatever is said must be listed; "T-> -" says nothing is.
func TestConversations(t *testing.T) {
	for _, name := range conversationFiles(t) {
		for _, c := range readConversations(t, name) {
			t.Run(strings.TrimSuffix(filepath.Base(name), ".txt")+"/"+c.title, func(t *testing.T) {
				for _, id := range c.ids {
					conform.Covers(t, strings.ReplaceAll(id, "_", " "))
				}
				converse(t, newPlay(configure(c.options)), c.lines)
			})
		}
	}
}

// converse plays the lines of a conversation.
func converse(t *testing.T, p *play, lines []line) {
	for _, l := range lines {
		if l.verb != "T->" {
			silent(t, p, l.where)
		}
		switch l.verb {
		case "I->":
			p.take(request(p, l.rest))
			p.check(t)
		case "D->":
			p.release(pdu.ITT(parseWords(strings.Fields(l.rest)).number("itt", 0)))
			p.check(t)
		case "N->":
			p.wait(l.rest == "quiet")
			p.check(t)
		case "G->":
			p.gone = l.rest == "gone"
		case "T->":
			listen(t, p, l.where, l.rest)
		default:
			t.Fatalf("%s: what is %q?", l.where, l.verb)
		}
	}
	silent(t, p, "the end")
}

// silent complains about what was said and not listed.
func silent(t *testing.T, p *play, where string) {
	t.Helper()
	if len(p.out) > 0 {
		t.Errorf("%s: said besides: %s", where, strings.Join(p.out, "\n\t"))
		p.out = nil
	}
}

func listen(t *testing.T, p *play, where, want string) {
	t.Helper()
	switch {
	case want == "-" && len(p.out) == 0:
	case len(p.out) == 0:
		t.Errorf("%s: nothing is said", where)
	default:
		if !matches(p.out[0], want) {
			t.Errorf("%s:\n got %s\nwant %s", where, p.out[0], want)
		}
		p.out = p.out[1:]
	}
}

// release lets a held command go on.
func (p *play) release(itt pdu.ITT) {
	delete(p.held, itt)
	if task, ok := p.c.Find(itt); ok {
		p.progress(task)
	}
	p.pump()
}
