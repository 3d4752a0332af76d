package socket

import (
	"net"
	"net/netip"
	"testing"
)

func TestGroupsKeepToTheirRanges(t *testing.T) {
	v6 := netip.MustParsePrefix("ff12::/64")
	v4 := netip.MustParsePrefix("239.255.0.0/16")
	for i := range 1 << 16 {
		g := GroupOf([16]byte{0: byte(i), 7: 1, 8: byte(i >> 8), 9: byte(i), 10: byte(i * 7), 11: byte(i * 13)})
		a4 := g.Addr[IPv4].As4()
		if !v6.Contains(g.Addr[IPv6]) || g.Addr[IPv6].As16()[12]&0x80 == 0 ||
			!v4.Contains(g.Addr[IPv4]) || a4[2] == 255 || a4[3] == 0 || a4[3] == 255 {
			t.Fatalf("group %v", g)
		}
	}
	if a, b := GroupOf([16]byte{1}), GroupOf([16]byte{2}); a == b {
		t.Error("two seeds give one group")
	}
}

func TestInterfacesThatAreSkipped(t *testing.T) {
	const usual = net.FlagUp | net.FlagBroadcast | net.FlagMulticast | net.FlagRunning
	v4 := []netip.Prefix{netip.MustParsePrefix("10.0.0.7/24")}
	v6 := []netip.Prefix{netip.MustParsePrefix("fe80::7/64")}
	for _, tt := range []struct {
		name     string
		flags    net.Flags
		prefixes []netip.Prefix
		want     string
	}{
		{"eth0", usual, v4, ""},
		{"wlp3s0", usual, v6, ""},
		{"eth0", usual, nil, "without an address"},
		{"eth0", usual, []netip.Prefix{netip.MustParsePrefix("2001:db8::1/64")}, "without an address"},
		{"eth0", usual &^ net.FlagMulticast, v4, "without multicast"},
		{"eth0", usual &^ net.FlagRunning, v4, "without a carrier"},
		{"lo", usual | net.FlagLoopback, v4, "loopback"},
		{"ppp0", usual | net.FlagPointToPoint, v4, "point to point"},
		{"docker0", usual, v4, "virtual"},
		{"br-12ab", usual, v4, "virtual"},
		{"veth1", usual, v4, "virtual"},
		{"utun3", usual, v4, "virtual"},
		{"vEthernet (WSL)", usual, v4, "virtual"},
		{"brandx", usual, v4, ""},
	} {
		i := interfaceOf(net.Interface{Index: 3, Name: tt.name, Flags: tt.flags}, tt.prefixes,
			func(int) bool { return true })
		if i.Skipped != tt.want {
			t.Errorf("%s with %v and %v: %q, want %q", tt.name, tt.flags, tt.prefixes, i.Skipped, tt.want)
		}
	}
}

func TestSelect(t *testing.T) {
	all := []Interface{
		{Index: 1, Name: "lo", V4: true, Skipped: "loopback"},
		{Index: 2, Name: "eth0", V4: true},
		{Index: 3, Name: "docker0", V4: true, Skipped: "virtual"},
		{Index: 4, Name: "eth1", Skipped: "without an address"},
	}
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, "eth0 "},
		{[]string{"docker*"}, "docker0 "},
		{[]string{"eth*"}, "eth0 "},
		{[]string{"lo", "eth0"}, "lo eth0 "},
		{[]string{"nothing", "["}, ""},
	} {
		got := ""
		for _, i := range Select(all, tt.names) {
			got += i.Name + " "
		}
		if got != tt.want {
			t.Errorf("names %q choose %q, want %q", tt.names, got, tt.want)
		}
	}
}
