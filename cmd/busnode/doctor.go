package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/p2p/multicast"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Try what multicast and mDNS can do on this machine, and say what to fix",
		Long: `Try what multicast and mDNS can do on each network interface of this machine, by
sending and listening for some three seconds, and say what to fix. No node needs to run.

The exit code is 0 if all is well, 1 if there is something to fix. Remarks are for
trouble that may come and cost nothing now.`,
		Example: `  busnode doctor
  busnode doctor --multicast-interface 'docker*' --output json`,
	}
	f := &nodeFlags{}
	fs := cmd.Flags()
	fs.StringVar(&f.network, "network", bus.DefaultNetwork, "`name` of the network, whose group is tried")
	fs.StringVar(&f.psk, "psk", "", "`file` with the network's key")
	fs.StringArrayVar(&f.interfaces, "multicast-interface", nil,
		"try this interface; `name` may hold * and ?; repeats (default those that suit)")
	return a.does(cmd, 0, 0, resultOutputs, func(ctx context.Context, _ []string) error {
		return a.examine(ctx, f)
	})
}

func (a *app) examine(ctx context.Context, f *nodeFlags) error {
	cfg := multicast.Config{Network: f.network, Interfaces: f.interfaces}
	if f.psk != "" {
		key, err := bus.LoadNetworkKey(f.psk)
		if err != nil {
			return fmt.Errorf("--psk: %w", err)
		}
		cfg.NetworkKey = key
	}
	reports, err := multicast.Probe(ctx, cfg)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d := diagnose(reports, len(f.interfaces) > 0)
	if err := a.printResult(d, d.print); err != nil || d.OK {
		return err
	}
	return fmt.Errorf("%s", d.summary())
}

// diagnosis is what doctor found.
type diagnosis struct {
	OK         bool        `json:"ok"`
	Interfaces []diagnosed `json:"interfaces"`
}

// diagnosed is one interface.
type diagnosed struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind"` // "wired", "wireless", "loopback" or "unknown"
	Addrs     []string  `json:"addrs"`
	Used      bool      `json:"used"`
	Skipped   *string   `json:"skipped"` // why it is not used; null if it is
	Multicast families  `json:"multicast"`
	MDNS      families  `json:"mdns"`
	Hosts     []string  `json:"hosts"` // others that were heard in the network's group
	OK        bool      `json:"ok"`    // nothing to fix
	Findings  []finding `json:"findings"`
}

// families says for each family "works", "fails" or "none": without an address
// of it, or not tried.
type families struct {
	IPv6 string `json:"ipv6"`
	IPv4 string `json:"ipv4"`
}

type finding struct {
	Problem string `json:"problem"`
	Fix     string `json:"fix"`
	Grave   bool   `json:"grave"` // nothing works because of it
	Fault   bool   `json:"fault"` // something fails because of it; else it is a remark
}

// diagnose judges what was tried. named says that interfaces were asked for by name.
func diagnose(reports []multicast.Report, named bool) *diagnosis {
	d := &diagnosis{Interfaces: []diagnosed{}}
	used := 0
	d.OK = true
	for i := range reports {
		x := diagnoseOne(&reports[i], named)
		if x.Used {
			used++
			d.OK = d.OK && x.OK
		}
		d.Interfaces = append(d.Interfaces, x)
	}
	d.OK = d.OK && used > 0
	return d
}

func diagnoseOne(r *multicast.Report, named bool) diagnosed {
	i := &r.Interface
	x := diagnosed{
		Name: i.Name, Kind: i.Kind.String(), Addrs: []string{}, Used: r.Used, Hosts: []string{},
		OK: true, Findings: []finding{},
	}
	for _, p := range i.Prefixes {
		x.Addrs = append(x.Addrs, p.String())
	}
	for _, h := range r.Hosts {
		x.Hosts = append(x.Hosts, h.String())
	}
	if !r.Used {
		why := i.Skipped
		if named || why == "" {
			why = "not asked for"
		}
		x.Skipped = &why
	}
	x.Multicast, x.MDNS = familiesOf(r, r.Works), familiesOf(r, r.MDNS)
	if x.Multicast.IPv6 == "fails" || x.Multicast.IPv4 == "fails" || x.MDNS.IPv6 == "fails" || x.MDNS.IPv4 == "fails" {
		x.OK = false
	}
	for _, f := range r.Findings {
		x.Findings = append(x.Findings, finding{f.Problem, f.Fix, f.Grave, f.Fault})
		x.OK = x.OK && !f.Grave
	}
	return x
}

func familiesOf(r *multicast.Report, works [socket.Families]bool) families {
	word := func(f socket.Family, has bool) string {
		switch {
		case !r.Used || !has:
			return "none"
		case works[f]:
			return "works"
		}
		return "fails"
	}
	return families{IPv6: word(socket.IPv6, r.Interface.V6), IPv4: word(socket.IPv4, r.Interface.V4)}
}

func (d *diagnosis) summary() string {
	bad := 0
	used := 0
	for i := range d.Interfaces {
		if d.Interfaces[i].Used {
			used++
			if !d.Interfaces[i].OK {
				bad++
			}
		}
	}
	if used == 0 {
		return "no interface suits multicast: bring one up, or name one with --multicast-interface"
	}
	return fmt.Sprintf("something to fix on %d of %s", bad, countOf(used, "interface"))
}

func (d *diagnosis) print(w *bytes.Buffer) {
	for i := range d.Interfaces {
		d.Interfaces[i].print(w)
	}
	if d.OK {
		fmt.Fprintln(w, "all is well")
	}
}

func (x *diagnosed) print(w *bytes.Buffer) {
	fmt.Fprintf(w, "%s  %s, %s\n", printable(x.Name), x.Kind, orNone(strings.Join(x.Addrs, " "), "no address"))
	if !x.Used {
		fmt.Fprintf(w, "  not used: %s\n", *x.Skipped)
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "  multicast\t%s\n", x.Multicast)
	fmt.Fprintf(tw, "  mDNS\t%s\n", x.MDNS)
	fmt.Fprintf(tw, "  heard\t%s\n", orNone(strings.Join(x.Hosts, " "), "no other host of the network"))
	for _, f := range x.Findings {
		word := "remark"
		if f.Fault {
			word = "problem"
		}
		fmt.Fprintf(tw, "  %s\t%s\n", word, f.Problem)
		if f.Fix != "" {
			fmt.Fprintf(tw, "  \tfix: %s\n", f.Fix)
		}
	}
	_ = tw.Flush() // a buffer takes all
}

// String says it in words.
func (f families) String() string {
	return strings.ReplaceAll(fmt.Sprintf("IPv6 %s, IPv4 %s", f.IPv6, f.IPv4), "none", "is not there")
}

func orNone(text, none string) string {
	if text == "" {
		return none
	}
	return text
}
