package segment

import (
	"math"
	"time"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

const (
	excessMax   = 0.05 // loss above what is usual that makes the rate fall
	reportsMin  = 4    // reports that tell what is usual
	lossLimit   = 0.35 // loss that makes it fall however usual it is
	lossMax     = 0.25 // loss that makes an outlier, if it lasts
	lowerBy     = 0.7
	raiseBy     = 1.05
	rateFloor   = 8 // the rate does not fall below its start divided by this
	reportLives = 10 * time.Second
	outlierTime = 10 * time.Second

	usualWeight  = 1.0 / 32 // of a report in what is usual
	oddWeight    = 1.0 / 256
	deviations   = 4 // mean deviations that are usual
	deviationMax = 0.15
	settleTime   = 1500 * time.Millisecond // until reports tell what a lower rate did
)

// report takes how much of our datagrams a member misses.
func (s *stream) report(e *Engine, loss uint8) {
	if loss == datagram.LossUnknown {
		return
	}
	l := float64(loss) / 255
	s.reports++
	weight := usualWeight
	if s.exceeds(l) {
		weight = oddWeight // congestion must not become the usual
	}
	weight = max(weight, 1/float64(s.reports))
	s.deviation += (math.Abs(l-s.usual) - s.deviation) * weight
	s.usual += (l - s.usual) * weight
	s.reported, s.reportedAt = loss, max(e.now, 1)
	if l <= lossMax {
		s.badSince = 0
	} else if s.badSince == 0 {
		s.badSince = max(e.now, 1)
	}
}

// exceeds reports whether a loss is above what is usual for a member, given how
// much that varies: losses that come in long bursts vary without any congestion.
func (s *stream) exceeds(loss float64) bool {
	return s.reports > reportsMin && loss-s.usual > max(excessMax, min(deviations*s.deviation, deviationMax))
}

// outlier reports whether a member has lost so much for so long, when most do
// not, that the rest is not made to wait for it. Comparing histories serves it.
func (e *Engine) outlier(s *stream) bool {
	if s.badSince == 0 || e.now-s.badSince < Time(outlierTime) {
		return false
	}
	bad := 0
	for _, other := range e.streams {
		if other.up && other.badSince != 0 {
			bad++
		}
	}
	return 2*bad < len(e.byPeer)
}

// WorstLoss returns the greatest loss that a member reports, but for outliers, 0 to 1.
func (e *Engine) WorstLoss() (worst float64) {
	for _, s := range e.streams {
		if s.up && s.reportedAt != 0 && !e.outlier(s) {
			worst = max(worst, float64(s.reported)/255)
		}
	}
	return worst
}

// adjust moves the rate, twice a second: down if somebody loses more than it
// usually does, up if there was more to send than the rate allowed.
func (e *Engine) adjust() {
	e.parity.fresh = false
	p := &e.pacer
	if p.adjust == Never {
		p.adjust = e.now.Add(adjustEvery)
	}
	if e.now < p.adjust {
		return
	}
	p.adjust = e.now.Add(adjustEvery)
	settling := e.now-p.lowered < Time(settleTime)
	excess := false
	for _, s := range e.streams {
		if s.reportedAt != 0 && e.now-s.reportedAt > Time(reportLives) {
			s.reported, s.reportedAt, s.badSince, s.reports = 0, 0, 0, 0
		}
		if s.up && s.reportedAt != 0 && !e.outlier(s) {
			l := float64(s.reported) / 255
			excess = excess || l > lossLimit || s.exceeds(l)
		}
	}
	limited := p.limited
	p.limited = false
	switch {
	case excess && settling:
	case excess:
		p.starts, p.lowered = false, e.now
		p.rate = max(p.rate*lowerBy, float64(p.rates.Start)/rateFloor)
	case limited && p.starts:
		p.rate = min(2*p.rate, float64(p.rates.Max))
	case limited:
		p.rate = min(p.rate*raiseBy, float64(p.rates.Max))
	}
}
