package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

// question is what a command does with a running node.
type question func(ctx context.Context, c *api.Client, args []string) error

// asks gives cmd an action that needs a running node.
func (a *app) asks(cmd *cobra.Command, args int, do question) *cobra.Command {
	var data string
	a.dataFlag(cmd.Flags(), &data)
	return a.does(cmd, args, args, resultOutputs, func(ctx context.Context, args []string) error {
		s, err := running(ctx, data)
		if err != nil {
			return err
		}
		defer s.close()
		return do(ctx, s.Client, args)
	})
}

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Show what a running node is and does"}
	return a.asks(cmd, 0, func(ctx context.Context, c *api.Client, _ []string) error {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		return a.printResult(s, func(w *bytes.Buffer) { printStatus(w, &s) })
	})
}

func printStatus(w *bytes.Buffer, s *api.Status) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(tw, "%s\t%v\n", name, value) }
	row("id", s.ID)
	row("network", printable(s.Network))
	row("version", s.Version)
	row("up", ago(s.UptimeS))
	row("addresses", strings.Join(s.Addrs, "\n\t"))
	row("peers", fmt.Sprintf("%d, and %d known", s.Peers, s.Counters["gossip_passive"]))
	row("topics", s.Topics)
	where := "in memory"
	if s.Log.Durable {
		where = "on disk"
	}
	events := int(s.Log.Events)
	row("log", fmt.Sprintf("%s %s, %s, %s", humanize.Comma(int64(events)), english.PluralWord(events, "event", ""),
		size(s.Log.Bytes), where))
	row("multicast", strings.Join(multicastRows(&s.Multicast), "\n\t"))
	title := "counters"
	for _, name := range slices.Sorted(maps.Keys(s.Counters)) {
		if n := s.Counters[name]; n > 0 {
			row(title, fmt.Sprintf("%s %d", name, n))
			title = ""
		}
	}
	_ = tw.Flush() // a buffer takes all
}

func (a *app) peersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "peers", Short: "List the peers of a running node"}
	return a.asks(cmd, 0, func(ctx context.Context, c *api.Client, _ []string) error {
		peers, err := c.Peers(ctx)
		if err != nil {
			return err
		}
		return printList(a, peers, []string{"ID", "PATH", "RTT", "UP", "TOPICS", "ADDRESS"}, func(p api.Peer) []string {
			path := p.Path
			if p.Relay != nil {
				path += " by " + *p.Relay
			}
			addr := ""
			if len(p.Addrs) > 0 {
				addr = p.Addrs[0]
			}
			rtt := "-" // not measured by multicast
			if p.RTTMs > 0 {
				rtt = fmt.Sprintf("%.1f ms", p.RTTMs)
			}
			topics := printable(strings.Join(p.Topics, " "))
			return []string{p.ID, path, rtt, ago(p.UpS), topics, addr}
		})
	})
}

func (a *app) topicsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "topics", Short: "List the topics that a running node holds"}
	return a.asks(cmd, 0, func(ctx context.Context, c *api.Client, _ []string) error {
		topics, err := c.Topics(ctx)
		if err != nil {
			return err
		}
		header := []string{"TOPIC", "EVENTS", "SIZE", "OFFSETS", "AUTHORS", "NEIGHBOURS", "LAG"}
		return printList(a, topics, header, func(t api.Topic) []string {
			offsets := "none"
			if t.LastOffset != nil {
				offsets = fmt.Sprintf("%d-%d", t.FirstOffset, *t.LastOffset)
			}
			return []string{
				printable(t.Topic), humanize.Comma(int64(t.Events)), size(t.Bytes), offsets,
				fmt.Sprint(t.Authors), fmt.Sprint(t.Neighbours), fmt.Sprint(t.Lag),
			}
		})
	})
}

func (a *app) durableCommand() *cobra.Command {
	list := &cobra.Command{Use: "ls", Short: "List the named subscriptions of a running node"}
	a.asks(list, 0, func(ctx context.Context, c *api.Client, _ []string) error {
		durables, err := c.Durables(ctx)
		if err != nil {
			return err
		}
		return printList(a, durables, []string{"NAME", "FILTER"}, func(d api.Durable) []string {
			return []string{printable(d.Name), printable(d.Filter)}
		})
	})
	remove := &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a named subscription, its place and its interest",
	}
	a.asks(remove, 1, func(ctx context.Context, c *api.Client, args []string) error {
		return c.ForgetDurable(ctx, args[0])
	})
	return group(&cobra.Command{Use: "durable", Short: "List and remove named subscriptions"}, list, remove)
}

func ago(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }
