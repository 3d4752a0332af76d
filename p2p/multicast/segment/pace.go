package segment

import "time"

const (
	rateMin      = 64_000 // bit/s
	headersBytes = 48     // of IPv6 and UDP, in front of each datagram
	burstMin     = 8      // datagrams that go back to back; a receiver's usual buffer holds 92
	burstMax     = 64     // the same on fast segments, whose receivers got larger buffers
	wakeEvery    = 500 * time.Microsecond
	adjustEvery  = 500 * time.Millisecond

	repairShare = 4  // the part of the rate for parity that was asked for, while data waits
	laneShare   = 10 // the part for the lane Repair
	nackShare   = 20 // the part for asking
)

// gauge lets pass a rate in bursts, by its theoretical time of arrival (GCRA).
type gauge struct{ at Time }

// free is when the gauge lets something pass, for a burst that lasts so long.
func (g *gauge) free(burst time.Duration) Time { return g.at.Add(-burst) }

// pass counts something that takes d.
func (g *gauge) pass(now Time, d time.Duration) { g.at = max(g.at, now).Add(d) }

// pacer decides when datagrams may go, and follows what the members report.
type pacer struct {
	rates   Rates
	rate    float64 // bit/s
	starts  bool    // slow start: the rate doubles
	all     gauge
	repair  gauge
	lane    gauge
	nack    gauge
	limited bool // there was more to send than the rate allowed, since the last adjustment
	adjust  Time
	lowered Time // when the rate last fell
}

func newPacer(r Rates) pacer {
	return pacer{rates: r, rate: float64(r.Start), starts: true, adjust: Never, lowered: -Never / 2}
}

// takes is how long a datagram of so many bytes takes at the present rate.
func (p *pacer) takes(bytes int) time.Duration {
	return time.Duration(float64(bytes+headersBytes) * 8e9 / p.rate)
}

// burst is how long a burst may last: some datagrams, or what goes in a millisecond.
func (p *pacer) burst() time.Duration {
	one := p.takes(fullBytes)
	return min(max(burstMin*one, 2*wakeEvery), burstMax*one) - one
}

// ready is when the next datagrams may go, several at once where they are fast.
func (p *pacer) ready() Time {
	return p.all.free(max(p.burst()-wakeEvery, 0))
}
