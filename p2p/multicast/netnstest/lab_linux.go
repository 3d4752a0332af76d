package netnstest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// labs numbers the labs of this process, for their names.
var labs atomic.Int32

// Lab is a set of hosts and the switches that join them.
type Lab struct {
	t      testing.TB
	prefix string
	fabric string // the namespace with the switches
	hosts  []*Host
}

// Host is a machine of the lab.
type Host struct {
	lab   *Lab
	Name  string
	space string // its namespace
	cards int
}

// New returns an empty lab, which the end of the test removes. It skips the test
// where there can be none.
func New(t testing.TB) *Lab {
	t.Helper()
	switch _, err := exec.LookPath("ip"); {
	case os.Geteuid() != 0:
		t.Skip("skipped: hosts in network namespaces need root")
	case err != nil:
		t.Skip("skipped: hosts in network namespaces need the command ip")
	}
	l := &Lab{t: t, prefix: fmt.Sprintf("bn%d-%d-", os.Getpid(), labs.Add(1))}
	l.fabric = l.prefix + "fabric"
	if out, err := exec.Command("ip", "netns", "add", l.fabric).CombinedOutput(); err != nil {
		t.Skipf("skipped: ip netns add: %v: %s", err, out)
	}
	t.Cleanup(l.remove)
	l.inSpace(l.fabric, func() error { return quiet() })
	return l
}

func (l *Lab) remove() {
	for _, h := range l.hosts {
		l.ip("netns", "delete", h.space)
	}
	l.ip("netns", "delete", l.fabric)
}

func (l *Lab) ip(args ...string) {
	l.t.Helper()
	l.run("ip", args...)
}

func (l *Lab) run(name string, args ...string) {
	l.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// quiet keeps a namespace's interfaces from waiting and chattering.
func quiet() error {
	for file, value := range map[string]string{
		"net/ipv6/conf/default/accept_dad": "0", // a link-local address serves at once
		"net/ipv6/conf/default/accept_ra":  "0",
		"net/ipv4/conf/default/rp_filter":  "0",
		"net/ipv4/conf/all/rp_filter":      "0",
	} {
		if err := os.WriteFile(filepath.Join("/proc/sys", file), []byte(value), 0); err != nil {
			return err
		}
	}
	for _, family := range []string{"iptables", "ip6tables", "arptables"} {
		// Only where the module is loaded; else there is nothing to turn off.
		_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+family, []byte("0"), 0)
	}
	return nil
}

// Switch adds a switch of that name, of at most eight letters.
func (l *Lab) Switch(name string) {
	l.t.Helper()
	l.ip("-n", l.fabric, "link", "add", "sw-"+name, "type", "bridge", "mcast_snooping", "0")
	l.inSpace(l.fabric, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/sw-"+name+"/disable_ipv6", []byte("1"), 0)
	})
	l.ip("-n", l.fabric, "link", "set", "sw-"+name, "up")
}

// SetSwitch changes a switch: mcast_snooping 1 mcast_querier 1.
func (l *Lab) SetSwitch(name string, settings ...string) {
	l.t.Helper()
	l.ip(append([]string{"-n", l.fabric, "link", "set", "sw-" + name, "type", "bridge"}, settings...)...)
}

// Host adds a host without interfaces but the loopback's.
func (l *Lab) Host(name string) *Host {
	l.t.Helper()
	h := &Host{lab: l, Name: name, space: l.prefix + name}
	l.ip("netns", "add", h.space)
	l.hosts = append(l.hosts, h)
	h.Do(quiet)
	h.IP("link", "set", "lo", "up")
	return h
}

// LAN adds a switch and n hosts h1, h2, … with an interface eth0 each, under
// 10.77.0.0/16 and an IPv6 link-local address.
func (l *Lab) LAN(n int) []*Host {
	l.t.Helper()
	l.Switch("lan")
	var hosts []*Host
	for i := range n {
		h := l.Host(fmt.Sprintf("h%d", i+1))
		h.Plug("lan", fmt.Sprintf("10.77.%d.%d/16", (i+1)/250, 1+(i+1)%250))
		hosts = append(hosts, h)
	}
	return hosts
}

// Plug adds the next interface, eth0 first, and connects it with a switch.
// Addresses are of the form 10.0.0.1/24.
func (h *Host) Plug(toSwitch string, addrs ...string) {
	h.lab.t.Helper()
	card := fmt.Sprintf("eth%d", h.cards)
	port := fmt.Sprintf("%s-%d", h.Name, h.cards)
	h.cards++
	fabric := h.lab.fabric
	h.lab.ip("-n", fabric, "link", "add", port, "type", "veth", "peer", "name", card, "netns", h.space)
	h.lab.inSpace(fabric, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/"+port+"/disable_ipv6", []byte("1"), 0)
	})
	h.lab.ip("-n", fabric, "link", "set", port, "master", "sw-"+toSwitch, "up")
	for _, a := range addrs {
		h.IP("addr", "add", a, "dev", card)
	}
	h.IP("link", "set", card, "up")
	h.lab.await(fabric, port, "state forwarding")
	h.lab.await(h.space, card, "state UP")
	h.settle(card)
}

// settle waits until the interface's link-local address serves. Without duplicate address
// detection, which a test may have turned on, the kernel needs a moment all the same.
func (h *Host) settle(card string) {
	h.lab.t.Helper()
	dir := filepath.Join("/proc/sys/net/ipv6/conf", card)
	for range 500 {
		settled := false
		h.Do(func() error {
			dad, err := os.ReadFile(filepath.Join(dir, "accept_dad"))
			if err != nil {
				return err
			}
			table, err := os.ReadFile("/proc/thread-self/net/if_inet6")
			settled = string(bytes.TrimSpace(dad)) != "0" || serves(table, card)
			return err
		})
		if settled {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.lab.t.Fatalf("%s of %s has no link-local address that serves", card, h.Name)
}

// serves reports whether the interface has a line with a link-local address, whose fifth
// field are flags, that is not tentative.
func serves(table []byte, card string) bool {
	const tentative = 0x40
	for line := range bytes.Lines(table) {
		f := strings.Fields(string(line))
		if len(f) < 6 || f[5] != card || !strings.HasPrefix(f[0], "fe8") {
			continue
		}
		flags, err := strconv.ParseUint(f[4], 16, 32)
		if err == nil && flags&tentative == 0 {
			return true
		}
	}
	return false
}

// await waits until an interface is as it shall be. A link comes up by and by: what is
// sent before both its ends have noticed is lost.
func (l *Lab) await(space, card, state string) {
	l.t.Helper()
	var out []byte
	for range 500 {
		var err error
		out, err = exec.Command("ip", "-n", space, "-d", "-o", "link", "show", "dev", card).CombinedOutput()
		if err != nil {
			break
		}
		if bytes.Contains(out, []byte(state)) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.t.Fatalf("%s of %s has no %s: %s", card, space, state, out)
}

// Unplug removes an interface.
func (h *Host) Unplug(card string) {
	h.lab.t.Helper()
	h.IP("link", "del", card)
}

// IP runs ip(8) in the host.
func (h *Host) IP(args ...string) {
	h.lab.t.Helper()
	h.lab.ip(append([]string{"-n", h.space}, args...)...)
}

// Sysctl writes a file below /proc/sys in the host, as net/ipv4/conf/all/rp_filter.
func (h *Host) Sysctl(file, value string) {
	h.lab.t.Helper()
	h.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", file), []byte(value), 0) })
}

// Filter replaces the host's packet filter with rules of its input and output, in
// the language of nft(8): «udp dport 47474 numgen random mod 1000 < 50 drop». It
// skips the test where there is no nft.
func (h *Host) Filter(input, output string) {
	h.lab.t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		h.lab.t.Skip("skipped: a packet filter needs the command nft")
	}
	rules := fmt.Sprintf("add table inet lab\ndelete table inet lab\ntable inet lab {\n"+
		"chain in { type filter hook input priority 0;\n%s\n}\n"+
		"chain out { type filter hook output priority 0;\n%s\n}\n}\n", input, output)
	cmd := h.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.lab.t.Fatalf("nft in %s: %v: %s\n%s", h.Name, err, out, rules)
	}
}

// Command returns a command that runs in the host.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.space, name}, args...)...)
}

// Do calls f in the host, on a thread of its own. Sockets that f opens remain the
// host's. Goroutines that f starts are not in the host.
func (h *Host) Do(f func() error) {
	h.lab.t.Helper()
	h.lab.inSpace(h.space, f)
}

// Try is Do, and returns f's error.
func (h *Host) Try(f func() error) error { return within(h.space, f) }

func (l *Lab) inSpace(space string, f func() error) {
	l.t.Helper()
	if err := within(space, f); err != nil {
		l.t.Fatalf("in %s: %v", space, err)
	}
}

func within(space string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The goroutine ends with its thread locked, and takes the thread with it.
		runtime.LockOSThread()
		done <- func() error {
			fd, err := unix.Open(filepath.Join("/run/netns", space), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer func() { _ = unix.Close(fd) }() // it was only read
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	return <-done
}

// SentBytes returns what the host's interface has sent, counted by the kernel.
func (h *Host) SentBytes(card string) (sent uint64) {
	h.lab.t.Helper()
	out, err := h.Command("cat", "/sys/class/net/"+card+"/statistics/tx_bytes").Output()
	if err == nil {
		_, err = fmt.Sscan(string(bytes.TrimSpace(out)), &sent)
	}
	if err != nil {
		h.lab.t.Fatalf("counters of %s: %v", card, err)
	}
	return sent
}
