package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/busnode/busnode/p2p/multicast"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// both says something of each family.
func both(six, four bool) [socket.Families]bool {
	return [socket.Families]bool{socket.IPv6: six, socket.IPv4: four}
}

func wired(name string) socket.Interface {
	return socket.Interface{
		Index: 2, Name: name, Kind: socket.Wired, MTU: 1500, V4: true, V6: true,
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fe80::1/64")},
	}
}

func TestDoctorTellsWhatIsToBeFixed(t *testing.T) {
	remark := multicast.Finding{Problem: "nobody asks", Fix: "if need be, ask"}
	blocked := multicast.Finding{Fault: true, Problem: "IPv4: a packet filter", Fix: "allow UDP"}
	grave := multicast.Finding{Grave: true, Fault: true, Problem: "nothing works", Fix: "mend it"}
	neighbours := []netip.Addr{netip.MustParseAddr("fe80::2")}
	lo := socket.Interface{Index: 1, Name: "lo", Kind: socket.Loopback, Skipped: "loopback"}
	for name, c := range map[string]struct {
		reports []multicast.Report
		ok      bool
		says    []string
	}{
		"all works": {
			[]multicast.Report{
				{Interface: lo},
				{Interface: wired("eth0"), Used: true, Works: both(true, true), MDNS: both(true, true), Hosts: neighbours},
			},
			true,
			[]string{
				"lo  loopback, no address\n  not used: loopback", "multicast  IPv6 works, IPv4 works", "heard      fe80::2",
				"all is well",
			},
		},
		"what may come is a remark": {
			[]multicast.Report{{
				Interface: wired("eth0"), Used: true, Works: both(true, true), MDNS: both(true, true),
				Findings: []multicast.Finding{remark},
			}},
			true,
			[]string{"remark     nobody asks", "fix: if need be, ask", "all is well"},
		},
		"one family is blocked": {
			[]multicast.Report{{
				Interface: wired("eth0"), Used: true, Works: both(true, false), MDNS: both(true, false),
				Findings: []multicast.Finding{blocked, remark},
			}},
			false,
			[]string{
				"multicast  IPv6 works, IPv4 fails", "problem    IPv4: a packet filter", "remark     nobody asks",
				"something to fix on 1 of 1 interface",
			},
		},
		"mDNS alone is blocked": {
			[]multicast.Report{{Interface: wired("eth0"), Used: true, Works: both(true, true), MDNS: both(false, true)}},
			false,
			[]string{"mDNS       IPv6 fails, IPv4 works"},
		},
		"one of two is dead": {
			[]multicast.Report{
				{Interface: wired("eth0"), Used: true, Works: both(true, true), MDNS: both(true, true)},
				{Interface: wired("eth1"), Used: true, Findings: []multicast.Finding{grave}},
			},
			false,
			[]string{"problem    nothing works", "something to fix on 1 of 2 interfaces"},
		},
		"none suits": {
			[]multicast.Report{{Interface: lo}}, false, []string{"no interface suits multicast"},
		},
	} {
		d := diagnose(c.reports, false)
		var b bytes.Buffer
		d.print(&b)
		text := b.String()
		if !d.OK {
			text += d.summary()
		}
		if d.OK != c.ok {
			t.Errorf("%s: OK is %v", name, d.OK)
		}
		for _, want := range c.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s: lacks %q:\n%s", name, want, text)
			}
		}
	}
}
