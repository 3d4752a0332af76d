package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

type subFlags struct {
	node    nodeFlags
	from    string
	durable string
	count   int
	timeout time.Duration
}

func (a *app) subCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sub FILTER",
		Short: "Subscribe and print events",
		Long: `Print the events of the topics that match FILTER: * stands for one token, > at the
end for the rest. A gap that nobody could fill is a line of its own.

--output is text; jsonl, an event a line; json, one array; or raw, the payloads as
they are with nothing between them.

With a node on --data sub reads its log, and adds the interest to it while it runs; a
--durable name keeps interest and place until 'busnode durable rm NAME'. Without, sub runs a
short-lived node for itself, which finds others with --peer or mDNS.`,
		Example: `  busnode sub 'orders.>' --from start --output jsonl
  busnode sub orders.eu --from 10m --count 5 --timeout 30s
  busnode sub orders.eu --durable billing --from start --output jsonl | bill`,
	}
	f := &subFlags{}
	fs := cmd.Flags()
	f.node.addJoining(a, fs, "warn")
	fs.StringVar(&f.from, "from", "",
		"begin at start, now, an OFFSET, a time (RFC 3339) or that long ago (10m) (default now, or the durable name's place)")
	fs.StringVar(&f.durable, "durable", "", "go on where the subscription of this `name` left off")
	fs.IntVar(&f.count, "count", 0, "end after this `number` of events (default never)")
	fs.DurationVar(&f.timeout, "timeout", 0,
		"end after this `duration`; with fewer than --count events the exit code is 3 (default never)")
	outputs := []string{outputText, outputJSON, outputJSONL, outputRaw}
	return a.does(cmd, 1, 1, outputs, func(ctx context.Context, args []string) error {
		return a.subscribe(ctx, f, args[0])
	})
}

func (f *subFlags) check(filter string) error {
	if err := bus.ValidFilter(filter); err != nil {
		return err
	}
	switch {
	case f.count < 0:
		return usagef("--count %d: want 1 or more", f.count)
	case f.timeout < 0:
		return usagef("--timeout %v: want 0 or more", f.timeout)
	}
	return api.ValidFrom(f.from, filter)
}

// errTimeUp is the cause of a context that --timeout ended.
var errTimeUp = errors.New("time is up")

func (a *app) subscribe(ctx context.Context, f *subFlags, filter string) error {
	if err := f.check(filter); err != nil {
		return err
	}
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, f.timeout, errTimeUp)
		defer cancel()
	}
	s, err := a.join(ctx, &f.node, f.durable != "")
	if err != nil {
		return f.timeUp(ctx, err, 0)
	}
	defer s.close()
	in, err := s.Subscribe(ctx, api.SubscribeRequest{Filter: filter, From: f.from, Durable: f.durable})
	if err != nil {
		return f.timeUp(ctx, err, 0)
	}
	p := &linePrinter{app: a, in: in, durable: f.durable != "", want: f.count}
	err = errors.Join(p.begin(), p.printAll(), p.end())
	closing, cancel := context.WithTimeout(context.Background(), stopFor)
	defer cancel()
	_ = in.Close(closing) // a node that has stopped has let go of it, too
	return f.timeUp(ctx, err, p.events)
}

// timeUp decides what the end of --timeout means.
func (f *subFlags) timeUp(ctx context.Context, err error, events int) error {
	if err == nil || !errors.Is(context.Cause(ctx), errTimeUp) {
		return err
	}
	if f.count == 0 {
		return nil
	}
	return timeoutf("%d of %s came in %v", events, countOf(f.count, "event"), f.timeout)
}

// outMax is how many bytes of lines gather before they are written.
const outMax = 64 << 10

// linePrinter writes the lines of a subscription in the format asked for, and
// acknowledges those of a durable one once they are written.
type linePrinter struct {
	app     *app
	in      *api.Lines
	durable bool
	want    int // events, or 0 for no end

	events  int // written
	items   int // written, gaps among them
	unacked int // lines in out
	out     []byte
}

func (p *linePrinter) begin() error {
	if p.app.output == outputJSON {
		return p.write([]byte("["))
	}
	return nil
}

func (p *linePrinter) end() error {
	if p.app.output == outputJSON {
		return p.write([]byte("\n]\n"))
	}
	return nil
}

// printAll prints until there are as many events as wanted. Lines that have
// arrived together are written together.
func (p *linePrinter) printAll() error {
	for p.want == 0 || p.events < p.want {
		line, err := p.in.Next()
		if err == nil {
			err = p.add(line)
		}
		if err != nil {
			return errors.Join(p.flush(), err)
		}
		if len(p.out) >= outMax || !p.in.Buffered() {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return p.flush()
}

func (p *linePrinter) add(line []byte) error {
	p.items++
	p.unacked++
	gap := api.IsGap(line)
	if !gap {
		p.events++
	}
	switch p.app.output {
	case outputJSONL:
		p.out = append(append(p.out, line...), '\n')
		return nil
	case outputJSON:
		if p.items > 1 {
			p.out = append(p.out, ',')
		}
		p.out = append(append(p.out, '\n', ' ', ' '), line...)
		return nil
	}
	if p.app.output == outputRaw && !gap {
		payload, err := api.Payload(line)
		p.out = append(p.out, payload...)
		return err
	}
	l, err := api.ParseLine(line)
	if err != nil {
		return err
	}
	switch {
	case !gap:
		p.out = appendEventText(p.out, l.Event)
	case p.app.output == outputText:
		p.out = appendGapText(p.out, l.Gap)
	default:
		fmt.Fprintf(p.app.stderr, "%s", appendGapText(nil, l.Gap))
	}
	return nil
}

func (p *linePrinter) flush() error {
	if err := p.write(p.out); err != nil {
		return err
	}
	p.out = p.out[:0]
	n := p.unacked
	p.unacked = 0
	if !p.durable || n == 0 {
		return nil
	}
	// The lines are written: their receipt is due even if time has run out.
	ctx, cancel := context.WithTimeout(context.Background(), ackFor)
	defer cancel()
	return p.in.Ack(ctx, n)
}

// ackFor bounds the wait for a node that does not answer.
const ackFor = 5 * time.Second

func (p *linePrinter) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := p.app.stdout.Write(b)
	return err
}

// authorTail is how much of an author's peer ID tells it from others.
const authorTail = 6

func tail(id string) string { return id[max(0, len(id)-authorTail):] }

func appendEventText(dst []byte, e *api.Event) []byte {
	dst = e.Time.Local().AppendFormat(dst, "15:04:05.000 ")
	dst = fmt.Appendf(dst, "%s …%s/%d ", printable(e.Topic), tail(e.Author), e.Seq)
	if e.Late {
		dst = append(dst, "late "...)
	}
	if e.Key != nil {
		dst = fmt.Appendf(dst, "key=%s ", printable(string(e.Key)))
	}
	for _, h := range e.Headers {
		dst = fmt.Appendf(dst, "%s:%s ", printable(h.Name), printable(string(h.Value)))
	}
	return append(append(dst, printable(string(bytes.TrimRight(e.Payload, "\n")))...), '\n')
}

func appendGapText(dst []byte, g *api.Gap) []byte {
	dst = fmt.Appendf(dst, "gap on %s: ", printable(g.Topic))
	if g.Lost > 0 {
		dst = fmt.Appendf(dst, "%s missing, ", countOf(int(g.Lost), "event"))
	}
	if g.From != nil && g.To != nil {
		dst = fmt.Appendf(dst, "from …%s/%d to %d, ", tail(g.Author), g.From.Seq, g.To.Seq)
	}
	return append(append(dst, printable(g.Reason)...), '\n')
}
