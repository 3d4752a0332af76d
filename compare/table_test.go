package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"
)

const conditionsText = `busnode and GossipSub (go-libp2p-pubsub, defaults, StrictSign) on one simulated network.
Links: %v one way, %d Mbit/s up and down a node, QUIC, nothing lost but by full queues (FQ-CoDel).
Overlay: a ring and random edges, mean degree %d. Seed %d. %s, %s/%s.
Publishers: %d, spread over the ring, in turn. Payloads are random bytes. Cold: no event before the first that counts.
Times in ms of virtual time, from publishing to each subscriber but the publisher's own.
copies: payloads received per event and receiving node.
B/useful, B/event: UDP payload that all nodes sent until %v after the last event, per byte of payload delivered, and
per event and receiving node. link: mean use of the uplinks. idle: B/s a node before the first event.

`

// writeConditions says what all rows have in common.
func writeConditions(w io.Writer, seed uint64) {
	fmt.Fprintf(w, conditionsText, latency, linkBits/1_000_000, meanDegree, seed,
		runtime.Version(), runtime.GOOS, runtime.GOARCH, publishersMax, quiet)
}

// writeTable writes results that come in pairs: GossipSub's and busnode's, then their ratio.
func writeTable(w io.Writer, pairs [][2]result) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out,
		"N\tpayload\tevents\tevery\tsystem\tdelivered\tp50\tp99\tmax\tcopies\tB/useful\tB/event\tlink\tidle\t")
	for _, pair := range pairs {
		for _, r := range pair {
			events := fmt.Sprint(r.Measured)
			if r.WarmUp == 0 {
				events += " cold"
			}
			fmt.Fprintf(out, "%d\t%s\t%s\t%v\t%s\t%d/%d\t%s\t%s\t%s\t%.2f\t%.2f\t%.0f\t%.1f%%\t%.0f\t\n",
				r.Nodes, size(r.Payload), events, r.Interval, r.System, r.Delivered, r.Expected,
				ms(r.P50), ms(r.P99), ms(r.Max), r.Copies, r.BytesPerByte, r.BytesPerEvent, 100*r.Utilisation, r.Idle)
		}
		g, b := pair[0], pair[1]
		fmt.Fprintf(out, "\t\t\t\tratio\t\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\t\t\n",
			ratio(b.P50, g.P50), ratio(b.P99, g.P99), ratio(b.Max, g.Max),
			b.Copies/g.Copies, b.BytesPerByte/g.BytesPerByte, b.BytesPerEvent/g.BytesPerEvent)
		fmt.Fprintln(out, "\t\t\t\t\t\t\t\t\t\t\t\t\t\t")
	}
	return out.Flush()
}

// writeJSON writes a line a result.
func writeJSON(w io.Writer, pairs [][2]result) error {
	enc := json.NewEncoder(w)
	for _, pair := range pairs {
		for _, r := range pair {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func size(bytes int) string {
	if bytes%1024 == 0 {
		return fmt.Sprintf("%d KiB", bytes/1024)
	}
	return fmt.Sprintf("%d B", bytes)
}
