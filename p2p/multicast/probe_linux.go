package multicast

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/busnode/busnode/p2p/multicast/socket"
)

// settings returns what in the kernel's settings stands in the way.
func settings(i socket.Interface) (found []Finding) {
	filter := max(setting("net/ipv4/conf/all/rp_filter"), setting("net/ipv4/conf/"+i.Name+"/rp_filter"))
	if i.V4 && filter > 0 {
		found = append(found, Finding{
			Problem: fmt.Sprintf("the reverse path filter (%d) may drop IPv4 datagrams of other subnets on the same wire;"+
				" IPv6 is not touched by it", filter),
			Fix: fmt.Sprintf("if hosts without IPv6 are not heard: sysctl -w net.ipv4.conf.all.rp_filter=0"+
				" net.ipv4.conf.%s.rp_filter=0", i.Name),
		})
	}
	bridge := filepath.Join("/sys/class/net", i.Name, "bridge")
	if readNumber(filepath.Join(bridge, "multicast_snooping")) > 0 &&
		readNumber(filepath.Join(bridge, "multicast_querier")) == 0 {
		found = append(found, Finding{
			Problem: "the bridge snoops and does not ask for members of groups: it may forget them",
			Fix:     fmt.Sprintf("ip link set %s type bridge mcast_querier 1", i.Name),
		})
	}
	return found
}

// setting reads a file below /proc/sys; 0 if there is none.
func setting(name string) int { return max(0, readNumber(filepath.Join("/proc/sys", name))) }

// readNumber reads a file with a number; -1 if it cannot.
func readNumber(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return -1
	}
	return n
}

// findQuerier joins a group and leaves it, upon which a querier asks whether
// anybody else is in it. To hear that takes a packet socket, and with it the right
// to open one.
func findQuerier(ctx context.Context, i socket.Interface) querier {
	packets, err := listenPackets(i.Index)
	if err != nil {
		return unknown
	}
	defer func() { _ = packets.Close() }() // it was only read
	group := socket.GroupOf([16]byte(token()))
	for f, has := range [socket.Families]bool{socket.IPv6: i.V6, socket.IPv4: i.V4} {
		if !has {
			continue
		}
		c, err := socket.Open(i, socket.Family(f), group)
		if err != nil {
			continue
		}
		leave := func() { _ = c.Close() } // nothing was written to it
		// A switch has to learn of the member before it hears of its leaving.
		timer := time.AfterFunc(300*time.Millisecond, leave)
		defer leave()
		defer timer.Stop()
	}
	stop := context.AfterFunc(ctx, func() {
		_ = packets.SetReadDeadline(time.Unix(1, 0)) // fails on a closed file alone
	})
	defer stop()
	buf := make([]byte, 256)
	for {
		n, err := packets.Read(buf)
		if err != nil {
			return absent
		}
		if isQuery(buf[:n]) {
			return present
		}
	}
}

// listenPackets returns a socket that hears all groups' packets on an interface,
// each from its IP header on.
func listenPackets(index int) (*os.File, error) {
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "packets")
	err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{
		Ifindex: int32(index), Type: unix.PACKET_MR_ALLMULTI,
	})
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index})
	}
	if err != nil {
		_ = file.Close() // nothing was written to it
		return nil, os.NewSyscallError("packet socket", err)
	}
	return file, nil
}

// isQuery reports whether an IP packet is an MLD query (RFC 3810: ICMPv6 type 130
// behind a hop-by-hop header) or an IGMP query (RFC 3376: type 0x11).
func isQuery(b []byte) bool {
	const ipv6Header, hopByHop, icmpv6, mldQuery, igmp, igmpQuery = 40, 0, 58, 130, 2, 0x11
	switch {
	case len(b) < 20:
		return false
	case b[0]>>4 == 4:
		header := int(b[0]&15) * 4
		return b[9] == igmp && len(b) > header && b[header] == igmpQuery
	case b[0]>>4 != 6 || len(b) < ipv6Header+2 || b[6] != hopByHop:
		return false
	}
	next := ipv6Header + 8 + int(b[ipv6Header+1])*8
	return b[ipv6Header] == icmpv6 && len(b) > next && b[next] == mldQuery
}
