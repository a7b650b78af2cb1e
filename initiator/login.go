package initiator

import (
	"context"
	"errors"
	"fmt"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// Bounds of one login: exchanges before we give up, redirections followed, and the
// text that one answer may gather.
const (
	maxExchanges  = 32
	maxRedirects  = 4
	maxLoginBytes = 64 << 10
)

// loginTask is one login on one connection (RFC 3720 §5.3 [R-5.3-13]: the whole of
// it is one task with one ITT and one request outstanding).
type loginTask struct {
	c     *Conn
	n     *negotiation
	stage pdu.Stage
	// answered says that a response came, so that its StatSN sequence is known.
	answered bool
	text     []byte
}

const (
	loginITT = 1
	// movedClass is the Status-Class of redirections (RFC 3720 §10.13.5).
	movedClass = 1
)

// Login logs in on a bare connection with its own negotiation and leaves it in the
// full feature phase, digests switched on. It returns what was agreed; a test can
// then send what it likes, CmdSN starting at Config.FirstCmdSN.
func (c *Conn) Login(ctx context.Context, cfg Config) (Params, error) {
	cfg.Portal = or(cfg.Portal, c.nc.RemoteAddr().String())
	cfg, err := cfg.filled()
	if err != nil {
		return Params{}, err
	}
	t, err := c.login(ctx, &cfg, nil)
	return t.n.params, err
}

func (c *Conn) login(ctx context.Context, cfg *Config, join *joining) (*loginTask, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.nc.Close() })
	defer stop()
	t := &loginTask{c: c, n: newNegotiation(cfg, join)}
	if join == nil {
		t.n.params.CmdSN = serial.Cmd(cfg.FirstCmdSN)
	}
	err := t.run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return t, t.explain(err)
	}
	p := &t.n.params
	p.Portal = cfg.Portal
	// RFC 3720 §12.14: FirstBurstLength never exceeds MaxBurstLength.
	p.FirstBurst = min(p.FirstBurst, p.MaxBurst)
	c.SetDigests(p.HeaderDigest, p.DataDigest)
	return t, nil
}

// explain names portal and target in front of what went wrong.
func (t *loginTask) explain(err error) error {
	var refused *LoginError
	if errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("initiator: log in to %s at %s: %w", t.n.cfg.Target, t.n.cfg.Portal, err)
}

// run walks the stages: security, with None or CHAP (chap.go), then operational, each
// left by T=1 on both sides (RFC 3720 §5.3 [R-5.3-4], [R-5.3-5]).
func (t *loginTask) run() error {
	t.stage = pdu.SecurityStage
	t.n.sayNames()
	for range maxExchanges {
		next := pdu.OperationalStage
		if t.stage == pdu.OperationalStage {
			next = pdu.FullFeature
		}
		done, err := t.exchange(next)
		if done || err != nil {
			return err
		}
	}
	return broken("login did not end after %d exchanges", maxExchanges)
}

// exchange sends what is queued and takes the answer. It is true when the full
// feature phase is reached.
func (t *loginTask) exchange(next pdu.Stage) (bool, error) {
	wanted := t.ready()
	data, more := t.n.take(loginSegmentBytes)
	// RFC 3720 §10.12.2 [R-10.12.2-1]: C=1 means T=0.
	if err := t.request(next, wanted && !more, more, data); err != nil {
		return false, err
	}
	h, err := t.response()
	if err != nil || more {
		return false, err
	}
	if err := t.gather(&h); err != nil {
		return false, err
	}
	return t.advance(pdu.AsLoginResponse(&h), next, wanted)
}

// ready says whether the next request offers to leave the stage: with CHAP not before
// the request that ends the exchange (RFC 3720 §5.3 [R-5.3-6]).
func (t *loginTask) ready() bool {
	if t.stage != pdu.SecurityStage || t.n.cfg.CHAP.User == "" {
		return true
	}
	return t.answered && t.n.chap.step != chapChallenge
}

// gather asks for the rest of an answer with C=1 by empty requests (RFC 3720 §5.2
// [R-5.2-3]) and hears the whole.
func (t *loginTask) gather(h *pdu.Header) error {
	for range maxExchanges {
		resp := pdu.AsLoginResponse(h)
		if !resp.Continue() {
			due := t.n.chap.step
			err := t.n.hear(t.text)
			t.text = t.text[:0]
			if err != nil {
				return err
			}
			return t.n.authenticate(due)
		}
		if resp.Transit() { // [R-10.13.7-1]
			return broken("Login Response has both C and T")
		}
		if err := t.request(t.stage, false, false, nil); err != nil {
			return err
		}
		next, err := t.response()
		if err != nil {
			return err
		}
		*h = next
	}
	return broken("an answer of login goes on after %d parts", maxExchanges)
}

func (t *loginTask) request(next pdu.Stage, transit, more bool, data []byte) error {
	var h pdu.Header
	r := pdu.AsLoginRequest(&h)
	h.SetOpcode(pdu.OpLoginReq)
	h.SetImmediate()
	r.SetStages(t.stage, next, transit, more)
	r.SetISID(t.n.cfg.ISID)
	if j := t.n.join; j != nil {
		r.SetTSIH(j.params.TSIH)
		r.SetCID(j.cid)
	}
	h.SetITT(loginITT)
	r.SetCmdSN(t.n.params.CmdSN)
	r.SetExpStatSN(t.n.params.StatSN)
	return t.c.Send(&h, nil, data)
}

// response receives one Login Response, checks it and keeps its text.
func (t *loginTask) response() (pdu.Header, error) {
	p, err := t.c.Receive()
	if err != nil {
		return p.Header, fmt.Errorf("target closed or went silent during login; look at its log: %w", err)
	}
	h := p.Header
	// [R-3.2.3-20]: any other PDU during login drops the connection.
	if h.Opcode() != pdu.OpLoginResp {
		return h, broken("%v during login", h.Opcode())
	}
	r := pdu.AsLoginResponse(&h)
	if r.ITT() != loginITT {
		return h, broken("Login Response for another task, ITT 0x%08x", uint32(r.ITT()))
	}
	if len(t.text)+len(p.Data) > maxLoginBytes {
		return h, broken("an answer of login exceeds %d bytes", maxLoginBytes)
	}
	t.text = append(t.text, p.Data...)
	if st := r.Status(); st != pdu.LoginSuccess {
		_ = t.n.hear(t.text) // a TargetAddress, when it is a redirection
		return h, &LoginError{Portal: t.n.cfg.Portal, Target: t.n.cfg.Target, Status: st}
	}
	return h, t.sequence(r)
}

// sequence checks StatSN: the first response sets it, each further one adds 1 (RFC
// 3720 §10.13.4 [R-10.13.4-1]).
func (t *loginTask) sequence(r pdu.LoginResponse) error {
	p := &t.n.params
	if t.answered && r.StatSN() != p.StatSN {
		return broken("Login Response with StatSN %v instead of %v", r.StatSN(), p.StatSN)
	}
	t.answered = true
	p.StatSN = r.StatSN().Next()
	p.ExpCmdSN, p.MaxCmdSN = r.ExpCmdSN(), r.MaxCmdSN()
	return nil
}

// advance moves to the stage both sides agreed on.
func (t *loginTask) advance(r pdu.LoginResponse, asked pdu.Stage, wanted bool) (bool, error) {
	if r.Current() != t.stage {
		return false, broken("Login Response of stage %d in stage %d", r.Current(), t.stage)
	}
	if !r.Transit() {
		return false, nil // legal: the next request may be empty [R-5.3.3-2]
	}
	if !wanted { // [R-10.13.6-2]
		return false, broken("Login Response with T=1 to a request with T=0")
	}
	// [R-5.3-8]: NSG never exceeds what was proposed.
	if r.Next() <= t.stage || r.Next() > asked {
		return false, broken("Login Response leads from stage %d to %d, asked for %d", t.stage, r.Next(), asked)
	}
	// [R-5.3-10]: with T=1 nothing may be left to answer in this stage.
	if len(t.n.pending) > 0 {
		return false, broken("Login Response with T=1 offers %s, which needs an answer", t.n.pending[0].key)
	}
	if t.stage == pdu.SecurityStage {
		if err := t.n.leaveSecurity(); err != nil {
			return false, err
		}
	}
	t.stage = r.Next()
	if t.stage == pdu.OperationalStage {
		t.n.sayOffers()
		return false, nil
	}
	if j := t.n.join; j != nil {
		if r.TSIH() != j.params.TSIH { // §5.3.1: it is the session's
			return false, broken("final Login Response with TSIH %d of a connection of session %d", r.TSIH(), j.params.TSIH)
		}
		return true, nil
	}
	t.n.params.TSIH = r.TSIH()
	if r.TSIH() == 0 && !t.n.cfg.Lenient { // [R-10.13.3-1]
		return false, broken("final Login Response with TSIH 0")
	}
	return true, nil
}

// connectAndLogin opens a connection and logs in, following redirections (RFC 3720
// §10.13.5 [R-10.13.5-20]).
func connectAndLogin(ctx context.Context, cfg *Config, join *joining) (*Conn, *loginTask, error) {
	for range maxRedirects {
		c, err := Connect(ctx, cfg.Portal)
		if err != nil {
			return nil, nil, err
		}
		t, err := c.login(ctx, cfg, join)
		if err == nil {
			return c, t, nil
		}
		_ = c.Close() // the login's error is the one to report
		var refused *LoginError
		if !errors.As(err, &refused) || refused.Status>>8 != movedClass || t.n.moved == "" {
			return nil, nil, err
		}
		cfg.Portal = withPort(t.n.moved)
	}
	return nil, nil, fmt.Errorf("initiator: log in to %s: redirected more than %d times, last to %s",
		cfg.Target, maxRedirects, cfg.Portal)
}
