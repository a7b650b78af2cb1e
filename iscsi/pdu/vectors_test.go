package pdu

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// field reads and writes one field of a header as a number.
type field struct {
	get func(*Header) uint64
	set func(*Header, uint64)
}

func cmdSN(v uint64) serial.CmdSN   { return serial.Cmd(uint32(v)) }
func statSN(v uint64) serial.StatSN { return serial.Stat(uint32(v)) }
func dataSN(v uint64) serial.DataSN { return serial.Data(uint32(v)) }

// common are the fields every PDU has.
var common = map[string]field{
	"Opcode":    {func(h *Header) uint64 { return uint64(h.Opcode()) }, func(h *Header, v uint64) { h.SetOpcode(Opcode(v)) }},
	"Flags":     {func(h *Header) uint64 { return uint64(h.Flags()) }, func(h *Header, v uint64) { h.SetFlags(byte(v)) }},
	"AHSBytes":  {func(h *Header) uint64 { return uint64(h.AHSBytes()) }, func(h *Header, v uint64) { h.SetAHSBytes(int(v)) }},
	"DataBytes": {func(h *Header) uint64 { return uint64(h.DataBytes()) }, func(h *Header, v uint64) { h.SetDataBytes(int(v)) }},
	"LUN":       {func(h *Header) uint64 { return uint64(h.LUN()) }, func(h *Header, v uint64) { h.SetLUN(sam.LUN(v)) }},
	"ITT":       {func(h *Header) uint64 { return uint64(h.ITT()) }, func(h *Header, v uint64) { h.SetITT(ITT(v)) }},
	"Immediate": {func(h *Header) uint64 {
		if h.Immediate() {
			return 1
		}
		return 0
	}, func(h *Header, v uint64) {
		if v == 1 {
			h.SetImmediate()
		}
	}},
	"CmdSN":     {func(h *Header) uint64 { return uint64(Request{h}.CmdSN().Uint32()) }, func(h *Header, v uint64) { Request{h}.SetCmdSN(cmdSN(v)) }},
	"ExpStatSN": {func(h *Header) uint64 { return uint64(Request{h}.ExpStatSN().Uint32()) }, func(h *Header, v uint64) { Request{h}.SetExpStatSN(statSN(v)) }},
	"StatSN":    {func(h *Header) uint64 { return uint64(Response{h}.StatSN().Uint32()) }, func(h *Header, v uint64) { Response{h}.SetStatSN(statSN(v)) }},
	"ExpCmdSN": {func(h *Header) uint64 { return uint64(Response{h}.ExpCmdSN().Uint32()) }, func(h *Header, v uint64) {
		Response{h}.SetWindow(cmdSN(v), Response{h}.MaxCmdSN())
	}},
	"MaxCmdSN": {func(h *Header) uint64 { return uint64(Response{h}.MaxCmdSN().Uint32()) }, func(h *Header, v uint64) {
		Response{h}.SetWindow(Response{h}.ExpCmdSN(), cmdSN(v))
	}},
}

// own are the fields of each PDU, by the name its vectors use.
var own = map[string]map[string]field{
	"SCSICommand": {
		"EDTL":      {func(h *Header) uint64 { return uint64(AsSCSICommand(h).EDTL()) }, func(h *Header, v uint64) { AsSCSICommand(h).SetEDTL(uint32(v)) }},
		"Attribute": {func(h *Header) uint64 { return uint64(AsSCSICommand(h).Attribute()) }, func(*Header, uint64) {}},
		"Priority":  {func(h *Header) uint64 { return uint64(AsSCSICommand(h).Priority()) }, func(h *Header, v uint64) { AsSCSICommand(h).SetPriority(sam.Priority(v)) }},
		"CDB0":      {func(h *Header) uint64 { return uint64(AsSCSICommand(h).CDB()[0]) }, func(h *Header, v uint64) { AsSCSICommand(h).CDB()[0] = byte(v) }},
		"CDB8":      {func(h *Header) uint64 { return uint64(AsSCSICommand(h).CDB()[8]) }, func(h *Header, v uint64) { AsSCSICommand(h).CDB()[8] = byte(v) }},
	},
	"SCSIResponse": {
		"Response":     {func(h *Header) uint64 { return uint64(AsSCSIResponse(h).ServiceResponse()) }, func(h *Header, v uint64) { AsSCSIResponse(h).SetServiceResponse(ServiceResponse(v)) }},
		"Status":       {func(h *Header) uint64 { return uint64(AsSCSIResponse(h).Status()) }, func(h *Header, v uint64) { AsSCSIResponse(h).SetStatus(sam.Status(v)) }},
		"Qualifier":    {func(h *Header) uint64 { return uint64(AsSCSIResponse(h).StatusQualifier()) }, func(h *Header, v uint64) { AsSCSIResponse(h).SetStatusQualifier(sam.Qualifier(v)) }},
		"SNACKTag":     {func(h *Header) uint64 { return uint64(AsSCSIResponse(h).SNACKTag()) }, func(h *Header, v uint64) { AsSCSIResponse(h).SetSNACKTag(uint32(v)) }},
		"ExpDataSN":    {func(h *Header) uint64 { return uint64(AsSCSIResponse(h).ExpDataSN().Uint32()) }, func(h *Header, v uint64) { AsSCSIResponse(h).SetExpDataSN(dataSN(v)) }},
		"BidiResidual": {func(h *Header) uint64 { return uint64(AsSCSIResponse(h).BidiResidual()) }, func(h *Header, v uint64) { AsSCSIResponse(h).SetBidiResidual(uint32(v)) }},
		"Residual":     {func(h *Header) uint64 { return uint64(AsSCSIResponse(h).Residual()) }, func(h *Header, v uint64) { AsSCSIResponse(h).SetResidual(uint32(v)) }},
	},
	"TaskRequest": {
		"Function":      {func(h *Header) uint64 { return uint64(AsTaskRequest(h).Function()) }, func(h *Header, v uint64) { AsTaskRequest(h).SetFunction(sam.Function(v)) }},
		"ReferencedTag": {func(h *Header) uint64 { return uint64(AsTaskRequest(h).ReferencedTag()) }, func(h *Header, v uint64) { AsTaskRequest(h).SetReferencedTag(ITT(v)) }},
		"RefCmdSN":      {func(h *Header) uint64 { return uint64(AsTaskRequest(h).RefCmdSN().Uint32()) }, func(h *Header, v uint64) { AsTaskRequest(h).SetRefCmdSN(cmdSN(v)) }},
		"ExpDataSN":     {func(h *Header) uint64 { return uint64(AsTaskRequest(h).ExpDataSN().Uint32()) }, func(h *Header, v uint64) { AsTaskRequest(h).SetExpDataSN(dataSN(v)) }},
	},
	"TaskResponse": {
		"Result": {func(h *Header) uint64 { return uint64(AsTaskResponse(h).Result()) }, func(h *Header, v uint64) { AsTaskResponse(h).SetResult(TaskResult(v)) }},
		"AdditionalInformation": {
			func(h *Header) uint64 {
				b := AsTaskResponse(h).AdditionalInformation()
				return uint64(b[0])<<16 | uint64(b[1])<<8 | uint64(b[2])
			},
			func(h *Header, v uint64) {
				AsTaskResponse(h).SetAdditionalInformation([3]byte{byte(v >> 16), byte(v >> 8), byte(v)})
			},
		},
	},
	"DataOut": {
		"TTT":          {func(h *Header) uint64 { return uint64(AsDataOut(h).TTT()) }, func(h *Header, v uint64) { AsDataOut(h).SetTTT(TTT(v)) }},
		"DataSN":       {func(h *Header) uint64 { return uint64(AsDataOut(h).DataSN().Uint32()) }, func(h *Header, v uint64) { AsDataOut(h).SetDataSN(dataSN(v)) }},
		"BufferOffset": {func(h *Header) uint64 { return uint64(AsDataOut(h).BufferOffset()) }, func(h *Header, v uint64) { AsDataOut(h).SetBufferOffset(uint32(v)) }},
	},
	"DataIn": {
		"Status":       {func(h *Header) uint64 { return uint64(AsDataIn(h).Status()) }, func(h *Header, v uint64) { AsDataIn(h).SetStatus(sam.Status(v)) }},
		"TTT":          {func(h *Header) uint64 { return uint64(AsDataIn(h).TTT()) }, func(h *Header, v uint64) { AsDataIn(h).SetTTT(TTT(v)) }},
		"DataSN":       {func(h *Header) uint64 { return uint64(AsDataIn(h).DataSN().Uint32()) }, func(h *Header, v uint64) { AsDataIn(h).SetDataSN(dataSN(v)) }},
		"BufferOffset": {func(h *Header) uint64 { return uint64(AsDataIn(h).BufferOffset()) }, func(h *Header, v uint64) { AsDataIn(h).SetBufferOffset(uint32(v)) }},
		"Residual":     {func(h *Header) uint64 { return uint64(AsDataIn(h).Residual()) }, func(h *Header, v uint64) { AsDataIn(h).SetResidual(uint32(v)) }},
	},
	"R2T": {
		"TTT":          {func(h *Header) uint64 { return uint64(AsR2T(h).TTT()) }, func(h *Header, v uint64) { AsR2T(h).SetTTT(TTT(v)) }},
		"R2TSN":        {func(h *Header) uint64 { return uint64(AsR2T(h).R2TSN().Uint32()) }, func(h *Header, v uint64) { AsR2T(h).SetR2TSN(dataSN(v)) }},
		"BufferOffset": {func(h *Header) uint64 { return uint64(AsR2T(h).BufferOffset()) }, func(h *Header, v uint64) { AsR2T(h).SetBufferOffset(uint32(v)) }},
		"DesiredBytes": {func(h *Header) uint64 { return uint64(AsR2T(h).DesiredBytes()) }, func(h *Header, v uint64) { AsR2T(h).SetDesiredBytes(uint32(v)) }},
	},
	"Async": {
		"Event": {func(h *Header) uint64 { return uint64(AsAsync(h).Event()) }, func(h *Header, v uint64) { AsAsync(h).SetEvent(AsyncEvent(v), AsAsync(h).VendorCode()) }},
		"Vendor": {func(h *Header) uint64 { return uint64(AsAsync(h).VendorCode()) }, func(h *Header, v uint64) {
			AsAsync(h).SetEvent(AsAsync(h).Event(), byte(v))
		}},
		"Parameter1": {func(h *Header) uint64 { a, _, _ := AsAsync(h).Parameters(); return uint64(a) }, func(h *Header, v uint64) {
			_, b, c := AsAsync(h).Parameters()
			AsAsync(h).SetParameters(uint16(v), b, c)
		}},
		"Parameter2": {func(h *Header) uint64 { _, b, _ := AsAsync(h).Parameters(); return uint64(b) }, func(h *Header, v uint64) {
			a, _, c := AsAsync(h).Parameters()
			AsAsync(h).SetParameters(a, uint16(v), c)
		}},
		"Parameter3": {func(h *Header) uint64 { _, _, c := AsAsync(h).Parameters(); return uint64(c) }, func(h *Header, v uint64) {
			a, b, _ := AsAsync(h).Parameters()
			AsAsync(h).SetParameters(a, b, uint16(v))
		}},
	},
	"TextRequest": {
		"TTT": {func(h *Header) uint64 { return uint64(AsTextRequest(h).TTT()) }, func(h *Header, v uint64) { AsTextRequest(h).SetTTT(TTT(v)) }},
	},
	"TextResponse": {
		"TTT": {func(h *Header) uint64 { return uint64(AsTextResponse(h).TTT()) }, func(h *Header, v uint64) { AsTextResponse(h).SetTTT(TTT(v)) }},
	},
	"LoginRequest":  loginFields(func(h *Header) login { return AsLoginRequest(h).login }),
	"LoginResponse": loginFields(func(h *Header) login { return AsLoginResponse(h).login }),
	"LogoutRequest": {
		"Reason": {func(h *Header) uint64 { return uint64(AsLogoutRequest(h).Reason()) }, func(h *Header, v uint64) { AsLogoutRequest(h).SetReason(LogoutReason(v)) }},
		"CID":    {func(h *Header) uint64 { return uint64(AsLogoutRequest(h).CID()) }, func(h *Header, v uint64) { AsLogoutRequest(h).SetCID(CID(v)) }},
	},
	"LogoutResponse": {
		"Result": {func(h *Header) uint64 { return uint64(AsLogoutResponse(h).Result()) }, func(h *Header, v uint64) { AsLogoutResponse(h).SetResult(LogoutResult(v)) }},
		"Time2Wait": {func(h *Header) uint64 { w, _ := AsLogoutResponse(h).Times(); return uint64(w) }, func(h *Header, v uint64) {
			_, r := AsLogoutResponse(h).Times()
			AsLogoutResponse(h).SetTimes(uint16(v), r)
		}},
		"Time2Retain": {func(h *Header) uint64 { _, r := AsLogoutResponse(h).Times(); return uint64(r) }, func(h *Header, v uint64) {
			w, _ := AsLogoutResponse(h).Times()
			AsLogoutResponse(h).SetTimes(w, uint16(v))
		}},
	},
	"SNACK": {
		"Type": {func(h *Header) uint64 { return uint64(AsSNACK(h).Type()) }, func(h *Header, v uint64) { AsSNACK(h).SetType(SNACKType(v)) }},
		"Tag":  {func(h *Header) uint64 { return uint64(AsSNACK(h).Tag()) }, func(h *Header, v uint64) { AsSNACK(h).SetTag(uint32(v)) }},
		"BegRun": {func(h *Header) uint64 { a, _ := AsSNACK(h).Run(); return uint64(a) }, func(h *Header, v uint64) {
			_, n := AsSNACK(h).Run()
			AsSNACK(h).SetRun(uint32(v), n)
		}},
		"RunLength": {func(h *Header) uint64 { _, n := AsSNACK(h).Run(); return uint64(n) }, func(h *Header, v uint64) {
			a, _ := AsSNACK(h).Run()
			AsSNACK(h).SetRun(a, uint32(v))
		}},
	},
	"Reject": {
		"Reason": {func(h *Header) uint64 { return uint64(AsReject(h).Reason()) }, func(h *Header, v uint64) { AsReject(h).SetReason(RejectReason(v)) }},
		"DataSN": {func(h *Header) uint64 { return uint64(AsReject(h).DataSN().Uint32()) }, func(h *Header, v uint64) { AsReject(h).SetDataSN(dataSN(v)) }},
	},
	"NOPOut": {
		"TTT": {func(h *Header) uint64 { return uint64(AsNOPOut(h).TTT()) }, func(h *Header, v uint64) { AsNOPOut(h).SetTTT(TTT(v)) }},
	},
	"NOPIn": {
		"TTT": {func(h *Header) uint64 { return uint64(AsNOPIn(h).TTT()) }, func(h *Header, v uint64) { AsNOPIn(h).SetTTT(TTT(v)) }},
	},
}

func loginFields(view func(*Header) login) map[string]field {
	return map[string]field{
		"CSG": {func(h *Header) uint64 { return uint64(view(h).Current()) }, func(h *Header, v uint64) {
			l := view(h)
			l.SetStages(Stage(v), l.Next(), l.Transit(), l.Continue())
		}},
		"NSG": {func(h *Header) uint64 { return uint64(view(h).Next()) }, func(h *Header, v uint64) {
			l := view(h)
			l.SetStages(l.Current(), Stage(v), l.Transit(), l.Continue())
		}},
		"VersionMax": {func(h *Header) uint64 { return uint64(view(h).VersionMax()) }, func(h *Header, v uint64) {
			view(h).SetVersions(byte(v), view(h).Version())
		}},
		"Version": {func(h *Header) uint64 { return uint64(view(h).Version()) }, func(h *Header, v uint64) {
			view(h).SetVersions(view(h).VersionMax(), byte(v))
		}},
		"ISID": {func(h *Header) uint64 {
			var n uint64
			for _, b := range view(h).ISID() {
				n = n<<8 | uint64(b)
			}
			return n
		}, func(h *Header, v uint64) {
			var i ISID
			for k := range i {
				i[k] = byte(v >> (40 - 8*k))
			}
			view(h).SetISID(i)
		}},
		"TSIH":   {func(h *Header) uint64 { return uint64(view(h).TSIH()) }, func(h *Header, v uint64) { view(h).SetTSIH(TSIH(v)) }},
		"CID":    {func(h *Header) uint64 { return uint64(AsLoginRequest(h).CID()) }, func(h *Header, v uint64) { AsLoginRequest(h).SetCID(CID(v)) }},
		"Status": {func(h *Header) uint64 { return uint64(AsLoginResponse(h).Status()) }, func(h *Header, v uint64) { AsLoginResponse(h).SetStatus(LoginStatus(v)) }},
	}
}

type vector struct {
	where, name string
	header      Header
	fields      []string
	values      []uint64
}

// readVectors parses testdata: "pdu NAME", "hex …" (48 bytes), then lines
// "Field value" in the order an encoder writes them.
func readVectors(t *testing.T) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var out []vector
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(f)
		for line := 1; sc.Scan(); line++ {
			words := strings.Fields(strings.SplitN(sc.Text(), "#", 2)[0])
			if len(words) == 0 {
				continue
			}
			switch words[0] {
			case "pdu":
				out = append(out, vector{where: fmt.Sprintf("%s:%d", name, line), name: words[1]})
			case "hex":
				v := &out[len(out)-1]
				b, err := hex.DecodeString(strings.Join(words[1:], ""))
				if err != nil || len(b) != HeaderBytes {
					t.Fatalf("%s:%d: %d bytes, %v", name, line, len(b), err)
				}
				copy(v.header[:], b)
			default:
				v := &out[len(out)-1]
				n, err := strconv.ParseUint(words[1], 0, 64)
				if err != nil {
					t.Fatalf("%s:%d: %v", name, line, err)
				}
				v.fields, v.values = append(v.fields, words[0]), append(v.values, n)
			}
		}
		f.Close()
	}
	return out
}

func lookup(v vector, name string) (field, bool) {
	if f, ok := own[v.name][name]; ok {
		return f, true
	}
	f, ok := common[name]
	return f, ok
}

// TestVectors_BothWays reads every field of every golden header and writes the
// same header from its fields. Every PDU type must have a vector that names all
// fields of its own.
func TestVectors_BothWays(t *testing.T) {
	conform.Covers(t, "R-2.3-1", "R-10.2.1.7-1", "R-10.2.1.5-1")
	seen := map[string]map[string]bool{}
	for _, v := range readVectors(t) {
		if own[v.name] == nil {
			t.Fatalf("%s: unknown pdu %s", v.where, v.name)
		}
		if seen[v.name] == nil {
			seen[v.name] = map[string]bool{}
		}
		var built Header
		for i, name := range v.fields {
			f, ok := lookup(v, name)
			if !ok {
				t.Fatalf("%s: %s has no field %s", v.where, v.name, name)
			}
			seen[v.name][name] = true
			if got := f.get(&v.header); got != v.values[i] {
				t.Errorf("%s: %s.%s = %#x, want %#x", v.where, v.name, name, got, v.values[i])
			}
			f.set(&built, v.values[i])
		}
		if built != v.header {
			t.Errorf("%s: %s built from its fields\n got %x\nwant %x", v.where, v.name, built[:], v.header[:])
		}
	}
	for name, fields := range own {
		for f := range fields {
			if !seen[name][f] && !(name == "LoginRequest" && f == "Status") && !(name == "LoginResponse" && f == "CID") {
				t.Errorf("no vector shows %s.%s", name, f)
			}
		}
	}
}
