package socket

import "testing"

func TestLinkLocalAddressesAreReadWithTheirState(t *testing.T) {
	settled := parseLinkLocals([]byte(
		"00000000000000000000000000000001 01 80 10 80       lo\n" +
			"fe800000000000000000000000000001 02 40 20 80     eth0\n" +
			"fe800000000000000000000000000002 03 40 20 c0     eth1\n" +
			"fe800000000000000000000000000003 04 40 20 88     eth2\n" +
			"20010db8000000000000000000000001 05 40 00 80     eth3\n" +
			"fe80 zz\nfe80 zz 40 20 80 eth4\n"))
	for index, want := range map[int]bool{1: false, 2: true, 3: false, 4: false, 5: false} {
		if settled(index) != want {
			t.Errorf("interface %d: %v, want %v", index, !want, want)
		}
	}
}
