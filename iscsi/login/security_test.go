package login

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/auth"
	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

func step(t *testing.T, m *Machine, line string) (Outcome, pdu.LoginStatus, string) {
	t.Helper()
	h, data := request(t, "", line)
	var resp pdu.Header
	o, answer := m.Step(pdu.AsLoginRequest(h), data, &resp)
	return o, pdu.AsLoginResponse(&resp).Status(), string(answer)
}

const guarded = "InitiatorName=iqn.2026-11.test:a;TargetName=iqn.2026-11.lunar:mutual;AuthMethod=CHAP"

func TestMachine_Identity_HoldsSourceAndUser(t *testing.T) {
	conform.Covers(t, "N-17")
	m := newMachine()
	step(t, m, "0 "+guarded)
	_, _, asked := step(t, m, "0 CHAP_A=5")
	p := prover{}
	p.judge(asked)
	if id := m.Identity(); id.User != "" || id.Source != testSource {
		t.Errorf("before the proof: %+v", id)
	}
	if o, _, _ := step(t, m, p.fill("0>3 T CHAP_N=user;CHAP_R={right}")); o != Admit {
		t.Fatalf("outcome %v", o)
	}
	if id := m.Identity(); id.User != "user" || id.Source != testSource || id.Initiator != "iqn.2026-11.test:a" {
		t.Errorf("after the proof: %+v", id)
	}
}

// asking records what a directory is asked.
type asking struct {
	got    []Query
	answer Access
}

func (a *asking) Access(q Query) Access {
	a.got = append(a.got, q)
	return a.answer
}

func TestMachine_Directory_IsAskedOnceAndTold(t *testing.T) {
	for line, want := range map[string]Query{
		"1>3 T InitiatorName=IQN.2026-11.test:A;TargetName=iqn.2026-11.lunar:x": {"iqn.2026-11.test:a", "iqn.2026-11.lunar:x", false, testSource},
		"1>3 T InitiatorName=iqn.2026-11.test:a;SessionType=Discovery":          {"iqn.2026-11.test:a", "", true, testSource},
		"1>3 T InitiatorName=iqn.2026-11.test:a;SessionType=Discovery;TargetName=iqn.2026-11.lunar:x": {
			"iqn.2026-11.test:a", "iqn.2026-11.lunar:x", true, testSource,
		},
	} {
		cfg := testConfig()
		a := &asking{}
		cfg.Targets = a
		if o, _, _ := step(t, NewMachine(cfg, testSource), line); o != Admit || len(a.got) != 1 || a.got[0] != want {
			t.Errorf("%s: outcome %v, asked %+v", line, o, a.got)
		}
		a.answer.Status = pdu.LoginForbidden
		if o, s, _ := step(t, NewMachine(cfg, testSource), line); o != Refuse || s != pdu.LoginForbidden {
			t.Errorf("%s: outcome %v %04x", line, o, uint16(s))
		}
	}
}

// A challenge of ours is recognised on whichever connection it comes back.
func TestMachine_ChallengeOfAnotherConnection_IsRefused(t *testing.T) {
	conform.Covers(t, "R-8.2.1-10")
	conform.Trap(t, 28)
	cfg := testConfig()
	victim, attacker := NewMachine(cfg, testSource), NewMachine(cfg, testSource)
	for _, m := range []*Machine{victim, attacker} {
		step(t, m, "0 "+guarded)
	}
	v, a := prover{}, prover{}
	_, _, asked := step(t, victim, "0 CHAP_A=5")
	v.judge(asked)
	_, _, asked = step(t, attacker, "0 CHAP_A=5")
	a.judge(asked)
	o, s, answer := step(t, attacker, a.fill("0>1 T CHAP_N=user;CHAP_R={right};CHAP_I=1;CHAP_C=")+text.Hex(v.challenge))
	if o != Refuse || s != pdu.LoginAuthFailure || answer != "" {
		t.Errorf("outcome %v %04x %q", o, uint16(s), answer)
	}
}

func TestMachine_WithoutChance_IsAnErrorOfOurs(t *testing.T) {
	cfg := testConfig()
	cfg.Node = auth.Node{}
	m := NewMachine(cfg, testSource)
	step(t, m, "0 "+guarded)
	if o, s, _ := step(t, m, "0 CHAP_A=5"); o != Refuse || s != pdu.LoginTargetError {
		t.Errorf("outcome %v %04x", o, uint16(s))
	}
}

// walker plays connections at random: some who know the secret, and some who know
// only what was ever sent.
type walker struct {
	t   *testing.T
	r   *rand.Rand
	cfg *Config
	m   *Machine
	p   prover
	knows,
	target string
	stage pdu.Stage
	first bool
	// seen are values of CHAP_R and CHAP_C from every connection.
	seen    []string
	in, out int
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (w *walker) connect() {
	w.m, w.p, w.first = NewMachine(w.cfg, testSource), prover{}, true
	w.knows = pick(w.r, "", "", userSecret)
	w.target = pick(w.r, "mutual", "chap", "sha256", "")
	w.stage = pdu.SecurityStage
}

// keys are what a request says: often what is due, and anything else.
func (w *walker) keys() (kv []string) {
	if w.first {
		kv = append(kv, "InitiatorName=iqn.2026-11.test:proven")
		if w.target == "" {
			kv = append(kv, "SessionType=Discovery")
		} else {
			kv = append(kv, "TargetName=iqn.2026-11.lunar:"+w.target)
		}
	}
	response := pick(w.r, w.seen...)
	if w.p.challenge != nil && w.r.IntN(2) == 0 {
		secret := pick(w.r, w.knows, w.knows, "guess")
		response = text.Hex(w.p.algorithm.Response(w.p.identifier, []byte(secret), w.p.challenge))
	}
	proof := "CHAP_N=" + pick(w.r, "user", "user", "user", "user", "other", "target", "") + "\x00CHAP_R=" + response
	due := "AuthMethod=" + pick(w.r, "CHAP", "CHAP,None", "None,CHAP", "None")
	switch {
	case w.m.Identity().User != "":
		return kv
	case w.p.challenge != nil:
		due = proof
	case !w.first:
		due = "CHAP_A=" + pick(w.r, "7", "7", "8,7,6,5", "5", "9")
	}
	if w.r.IntN(8) != 0 {
		kv = append(kv, due)
	}
	for w.r.IntN(8) == 0 {
		kv = append(kv, pick(w.r,
			proof, "AuthMethod=None", "CHAP_A=5", "CHAP_I=7", "CHAP_C="+pick(w.r, w.seen...), "CHAP_I=7\x00CHAP_C="+pick(w.r, w.seen...),
			"MaxBurstLength=512", "InitiatorAlias=x", "X-a=b", "SendTargets=All", "CHAP_R=0x", "TargetName=iqn.2026-11.lunar:mutual"))
	}
	return kv
}

func (w *walker) step() {
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpLoginReq)
	r := pdu.AsLoginRequest(h)
	current := w.stage
	if w.r.IntN(20) == 0 {
		current = pdu.Stage(w.r.IntN(4))
	}
	transit := w.r.IntN(2) == 0
	more := !transit && w.r.IntN(20) == 0
	r.SetStages(current, pdu.Stage(pick(w.r, 1, 1, 3, 3, w.r.IntN(4))), transit, more)
	data := strings.Join(w.keys(), "\x00") + "\x00"
	if data == "\x00" {
		data = ""
	}
	w.p.hear(data)
	var resp pdu.Header
	o, answer := w.m.Step(r, []byte(data), &resp)
	w.first = w.first && more
	if more && o == Reply && len(answer) == 0 && !pdu.AsLoginResponse(&resp).Transit() {
		return // nothing was read yet, in whatever stage
	}
	w.look(o, pdu.AsLoginResponse(&resp), string(answer), data)
}

// look judges an answer: who does not know the secret never leaves the security
// stage, and nobody does without having proved a name.
func (w *walker) look(o Outcome, resp pdu.LoginResponse, answer, data string) {
	w.t.Helper()
	w.p.judge(answer)
	for kv := range strings.SplitSeq(answer, "\x00") {
		if k, v, _ := strings.Cut(kv, "="); k == auth.KeyChallenge || k == auth.KeyResponse {
			w.seen = append(w.seen[max(0, len(w.seen)-200):], v)
		}
	}
	beyond := o == Admit || o == Reply && (resp.Current() != pdu.SecurityStage || resp.Transit())
	operational := strings.Contains(answer, "MaxRecvDataSegmentLength") || strings.Contains(answer, "MaxBurstLength")
	if (beyond || operational || w.m.Identity().User != "") && w.knows == "" {
		w.t.Fatalf("a stranger gets %v %q for %q", o, answer, data)
	}
	if beyond && w.m.Identity().User != "user" {
		w.t.Fatalf("user %q gets %v for %q", w.m.Identity().User, o, data)
	}
	switch o {
	case Reply:
		if resp.Transit() {
			w.stage = resp.Next()
		}
		return
	case Refuse:
		w.out++
	case Admit:
		w.in++
	case Done:
		w.t.Fatal("done without being admitted")
	}
	w.connect()
}

// TestMachine_Unauthenticated_NeverGetsIn walks over requests of all stages, keys and
// flags against targets and a discovery that demand a proof.
func TestMachine_Unauthenticated_NeverGetsIn(t *testing.T) {
	conform.Covers(t, "R-5.3-6", "R-8-1", "R-5.3.1-2", "R-5.3-5")
	steps := 10_000
	if os.Getenv("LUNAR_LONG") != "" {
		steps = 1_000_000
	}
	w := &walker{t: t, r: rand.New(rand.NewPCG(7, 11)), cfg: testConfig(), seen: []string{"0x00", "0x01"}}
	w.connect()
	for range steps {
		w.step()
	}
	if w.in < steps/1000 || w.out < steps/200 {
		t.Errorf("the walk is no walk: %d got in, %d were refused", w.in, w.out)
	}
	t.Logf("%d got in, %d were refused", w.in, w.out)
}
