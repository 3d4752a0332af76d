package socket

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Flags of an IPv6 address (linux/if_addr.h).
const (
	addrDadFailed = 0x08
	addrTentative = 0x40
)

func kindOf(ifi net.Interface) Kind {
	if ifi.Flags&net.FlagLoopback != 0 {
		return Loopback
	}
	dir := filepath.Join("/sys/class/net", ifi.Name)
	for _, sign := range []string{"wireless", "phy80211"} {
		if _, err := os.Stat(filepath.Join(dir, sign)); err == nil {
			return Wireless
		}
	}
	if len(ifi.HardwareAddr) == 6 && ifi.Flags&net.FlagBroadcast != 0 {
		return Wired
	}
	return Unknown
}

// linkLocals returns a function that tells whether an interface has a link-local
// IPv6 address that it may send from. For one or two seconds after an interface
// came up its address is tentative (RFC 4862), and sending fails.
func linkLocals() func(index int) bool {
	// The thread's own file, for the process may have threads in several network namespaces.
	table, err := os.ReadFile("/proc/thread-self/net/if_inet6")
	if err != nil {
		return func(int) bool { return true } // no /proc: sending will tell
	}
	return parseLinkLocals(table)
}

// parseLinkLocals reads lines of address, index, prefix length, scope, flags (hexadecimal) and name.
func parseLinkLocals(table []byte) func(index int) bool {
	settled := map[int]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 6 || !strings.HasPrefix(f[0], "fe8") {
			continue
		}
		index, err := strconv.ParseInt(f[1], 16, 32)
		if err != nil {
			continue
		}
		flags, err := strconv.ParseUint(f[4], 16, 32)
		if err == nil && flags&(addrTentative|addrDadFailed) == 0 {
			settled[int(index)] = true
		}
	}
	return func(index int) bool { return settled[index] }
}
