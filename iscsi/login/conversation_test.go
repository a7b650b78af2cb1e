package login

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/auth"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/text"
)

// request builds a Login Request from a line such as
// "1>3 T itt=1 InitiatorName=a;TargetName=b".
func request(t *testing.T, where, line string) (*pdu.Header, []byte) {
	t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpLoginReq)
	h.SetImmediate()
	h.SetITT(7)
	r := pdu.AsLoginRequest(h)
	r.SetISID(pdu.ISID{0x80, 1, 2, 3, 4, 5})
	r.SetCmdSN(serial.Cmd(123))
	var current, next int
	var transit, more bool
	var data string
	for i, w := range strings.Fields(line) {
		name, value, eq := strings.Cut(w, "=")
		n, _ := strconv.ParseUint(value, 0, 32)
		switch {
		case i == 0:
			if c, _ := fmt.Sscanf(w, "%d>%d", &current, &next); c < 1 {
				t.Fatalf("%s: stages %q", where, w)
			}
		case w == "T":
			transit = true
		case w == "C":
			more = true
		case eq && name == "itt":
			h.SetITT(pdu.ITT(n))
		case eq && name == "tsih":
			r.SetTSIH(pdu.TSIH(n))
		case eq && name == "cid":
			r.SetCID(pdu.CID(n))
		case eq && name == "min":
			r.SetVersions(byte(n), byte(n))
		default:
			data += strings.ReplaceAll(w, ";", "\x00")
			if !more {
				data += "\x00"
			}
		}
	}
	r.SetStages(pdu.Stage(current), pdu.Stage(next), transit, more)
	return h, []byte(data)
}

// show renders what the machine answered in the same notation.
func show(o Outcome, h *pdu.Header, data []byte) string {
	r := pdu.AsLoginResponse(h)
	if o == Refuse {
		s := fmt.Sprintf("refuse %04x", uint16(r.Status()))
		if len(data) > 0 {
			s += " " + pairsOf(data)
		}
		return s
	}
	s := fmt.Sprintf("%d", r.Current())
	if r.Transit() {
		s += fmt.Sprintf(">%d T", r.Next())
	}
	s += fmt.Sprintf(" stat=%d", r.StatSN().Uint32())
	if r.TSIH() != 0 {
		s += fmt.Sprintf(" tsih=%d", r.TSIH())
	}
	if len(data) > 0 {
		s += " " + pairsOf(data)
	}
	if o == Done {
		s += " done"
	}
	return s
}

func pairsOf(data []byte) string {
	return strings.ReplaceAll(strings.TrimSuffix(string(data), "\x00"), "\x00", ";")
}

// TestConversations plays testdata/*.txt: "== " begins a conversation and names the
// rules and traps it proves in brackets, "I-> " lines are requests, "T-> " lines the
// exact answers.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(b), "\n")
		for n := 0; n < len(lines); n++ {
			title, ok := strings.CutPrefix(lines[n], "== ")
			if !ok {
				continue
			}
			end := n + 1
			for end < len(lines) && !strings.HasPrefix(lines[end], "== ") {
				end++
			}
			t.Run(title, func(t *testing.T) {
				claim(t, title)
				converse(t, fmt.Sprintf("%s:%d", name, n+2), lines[n+1:end])
			})
		}
	}
}

var bracketed = regexp.MustCompile(`\[([^\]]+)\]`)

// claim covers what a title names in brackets: "[R-5.3-1 R-5.3-2 trap 19]".
func claim(t *testing.T, title string) {
	t.Helper()
	for _, m := range bracketed.FindAllStringSubmatch(title, -1) {
		words := strings.Fields(m[1])
		for i := 0; i < len(words); i++ {
			if words[i] == "trap" && i+1 < len(words) {
				i++
				words[i] = "trap " + words[i]
			}
			conform.Covers(t, words[i])
		}
	}
}

// converse plays one conversation. In requests {right} is the response that proves
// the user, {wrong} one that does not, {back} the challenge that came; in answers
// {id} and {challenge} are any and {proof} the right response of the target.
func converse(t *testing.T, where string, lines []string) {
	t.Helper()
	m := newMachine()
	p := prover{}
	got := ""
	asked := 0
	for n, line := range lines {
		say, isRequest := strings.CutPrefix(line, "I-> ")
		want, isAnswer := strings.CutPrefix(line, "T-> ")
		switch {
		case isRequest:
			if got != "" {
				t.Fatalf("%s+%d: nobody looks at %q", where, n, got)
			}
			h, data := request(t, where, p.fill(say))
			p.hear(string(data))
			var resp pdu.Header
			o, answer := m.Step(pdu.AsLoginRequest(h), data, &resp)
			if o == Admit {
				o, answer = m.Admitted(pdu.LoginSuccess, 55, m.CmdSN(), m.CmdSN().Add(31), &resp)
			}
			got = p.judge(show(o, &resp, answer))
			asked++
		case isAnswer:
			if got != want {
				t.Errorf("%s+%d:\n got %s\nwant %s", where, n, got, want)
			}
			got = ""
		}
	}
	if asked == 0 || got != "" {
		t.Errorf("%s: %d requests; nobody looks at %q", where, asked, got)
	}
}

// prover does for the initiator of a conversation what cannot be written down.
type prover struct {
	algorithm  auth.Algorithm
	identifier byte
	challenge  []byte
	// theirs is what the initiator asked the target.
	theirIdentifier byte
	theirChallenge  []byte
}

func (p *prover) fill(line string) string {
	right := p.algorithm.Response(p.identifier, []byte(userSecret), p.challenge)
	line = strings.ReplaceAll(line, "{right}", text.Hex(right))
	line = strings.ReplaceAll(line, "{wrong}", text.Hex(make([]byte, max(len(right), 1))))
	return strings.ReplaceAll(line, "{back}", text.Hex(p.challenge))
}

// hear notes what the initiator asks of the target.
func (p *prover) hear(data string) {
	for kv := range strings.SplitSeq(data, "\x00") {
		switch k, v, _ := strings.Cut(kv, "="); k {
		case auth.KeyIdentifier:
			n, _ := text.Number([]byte(v))
			p.theirIdentifier = byte(n)
		case auth.KeyChallenge:
			p.theirChallenge, _ = text.Binary([]byte(v), text.MaxBinaryBytes)
		}
	}
}

var (
	saidAlgorithm  = regexp.MustCompile(`CHAP_A=(\d+)`)
	saidIdentifier = regexp.MustCompile(`CHAP_I=(\d+)`)
	saidChallenge  = regexp.MustCompile(`CHAP_C=(0x[0-9a-f]{64})\b`)
	saidResponse   = regexp.MustCompile(`CHAP_R=(0x[0-9a-f]+)`)
)

// judge keeps what the target asks, and checks what it proves.
func (p *prover) judge(answer string) string {
	if m := saidAlgorithm.FindStringSubmatch(answer); m != nil {
		n, _ := strconv.Atoi(m[1])
		p.algorithm = auth.Algorithm(n)
	}
	if m := saidIdentifier.FindStringSubmatch(answer); m != nil {
		n, _ := strconv.Atoi(m[1])
		p.identifier = byte(n)
		answer = strings.Replace(answer, m[0], "CHAP_I={id}", 1)
	}
	if m := saidChallenge.FindStringSubmatch(answer); m != nil {
		p.challenge, _ = text.Binary([]byte(m[1]), text.MaxBinaryBytes)
		answer = strings.Replace(answer, m[1], "{challenge}", 1)
	}
	right := text.Hex(p.algorithm.Response(p.theirIdentifier, []byte(mutualSecret), p.theirChallenge))
	if m := saidResponse.FindStringSubmatch(answer); m != nil && m[1] == right {
		answer = strings.Replace(answer, m[1], "{proof}", 1)
	}
	return answer
}
