package scsi

import (
	"testing"

	"lunar/scsi/pi"
)

// protectedPages are those that say something else where there is protection information.
var protectedPages = []struct {
	page
	kind pi.Type
}{
	{page{"inquiry-pi", "12 00 00 00 06", "SPC-4 §6.6.2", []field{
		{0, 4, "peripheral..format", hexadecimal}, {4, 1, "additional length", number}, {5, 1, "TPGS 3PC PROTECT", hexadecimal},
	}}, pi.Type1},
	{page{"vpd-86-pi", "12 01 86 02 00", "SPC-4 §7.8.7", append(vpdHeader,
		field{4, 1, "SPT, GRD_CHK APP_CHK REF_CHK", hexadecimal}, field{5, 1, "GROUP_SUP PRIOR_SUP HEADSUP ORDSUP SIMPSUP", hexadecimal},
		field{6, 1, "WU_SUP..V_SUP", hexadecimal}, field{7, 1, "NO_PI_CHK P_I_I_SUP LUICLR", hexadecimal}, field{8, 5, "R_SUP..self-test time", hexadecimal},
		field{13, 1, "maximum sense", number}, field{14, -1, "reserved", hexadecimal})}, pi.Type1},
	{page{"capacity-16-type1", "9e 10 00 00 00 00 00 00 00 00 00 00 00 20", "SBC-4 §5.21.2", protectedCapacity}, pi.Type1},
	{page{"capacity-16-type3", "9e 10 00 00 00 00 00 00 00 00 00 00 00 20", "SBC-4 §5.21.2", protectedCapacity}, pi.Type3},
	{page{"opcode-read-32", "a3 0c 02 7f 00 09 00 00 02 00", "SPC-4 §6.35.3", []field{
		{0, 2, "support", hexadecimal},
		{2, 2, "CDB length", number},
		{4, 1, "opcode", hexadecimal},
		{5, 1, "CONTROL", hexadecimal},
		{6, 4, "reserved", hexadecimal},
		{10, 1, "GROUP NUMBER", hexadecimal},
		{11, 1, "additional length", hexadecimal},
		{12, 2, "service action", hexadecimal},
		{14, 1, "RDPROTECT DPO FUA FUA_NV", hexadecimal},
		{15, 1, "reserved", hexadecimal},
		{16, 8, "LBA", hexadecimal},
		{24, 4, "reference tag", hexadecimal},
		{28, 2, "application tag", hexadecimal},
		{30, 2, "its mask", hexadecimal},
		{32, 4, "transfer length", hexadecimal},
	}}, pi.Type2},
}

var protectedCapacity = []field{
	{0, 8, "last LBA", number},
	{8, 4, "block length", number},
	{12, 1, "P_TYPE PROT_EN", hexadecimal},
	{13, 1, "P_I_EXPONENT, physical exponent", hexadecimal},
	{14, 2, "LBPME LBPRZ lowest aligned", hexadecimal},
	{16, 16, "reserved", hexadecimal},
}

func TestGoldenPages_Protected(t *testing.T) {
	for i := range protectedPages {
		protectedPages[i].check(t, protectedDevice(protectedPages[i].kind))
	}
}
