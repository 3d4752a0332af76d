package chart

import (
	"iter"
	"math"
	"strconv"
)

// scale maps an axis to pixels.
// Invariant: min < max, both drawable by the axis.
type scale struct {
	Axis
	min, max float64
	from, to float64 // pixels at min and max
}

// at returns the pixel of v. It is bounded, so that what lies far outside of the
// axis can still be clipped.
func (s *scale) at(v float64) float64 {
	share := (v - s.min) / (s.max - s.min)
	if s.Log {
		share = (math.Log(v) - math.Log(s.min)) / (math.Log(s.max) - math.Log(s.min))
	}
	return s.from + max(-1e4, min(share, 1e4))*(s.to-s.from)
}

// holds reports whether v lies on the axis, but for rounding.
func (s *scale) holds(v float64) bool {
	slack := (s.max - s.min) * 1e-9
	if s.Log {
		return v >= s.min*(1-1e-9) && v <= s.max*(1+1e-9)
	}
	return v >= s.min-slack && v <= s.max+slack
}

// fit says how an axis goes around its data.
type fit struct {
	zero  bool    // bars stand on 0
	tight bool    // end where the data ends, else at the next tick
	pad   bool    // leave room for markers at the ends
	ticks float64 // how many there are to be, about
}

// newScale finds the range of an axis from its values.
func newScale(a Axis, values iter.Seq[float64], f fit) *scale {
	s := &scale{Axis: a, min: math.Inf(1), max: math.Inf(-1)}
	for v := range values {
		if a.draws(v) {
			s.min, s.max = min(s.min, v), max(s.max, v)
		}
	}
	if a.Min < a.Max && a.draws(a.Min) && a.draws(a.Max) {
		s.min, s.max = a.Min, a.Max
		s.widen()
		return s
	}
	if s.min > s.max {
		s.min, s.max = 0, 1
		if a.Log {
			s.min, s.max = 1, 10
		}
	}
	if a.Log {
		s.fitLog(f)
	} else {
		s.fitLinear(f)
	}
	return s
}

// widen keeps the ends apart, so that a single value has a place.
func (s *scale) widen() {
	if s.Log {
		if s.max < s.min*1.01 {
			s.min, s.max = max(s.min/2, valueMin), s.max*2
		}
		return
	}
	if size := max(math.Abs(s.min), math.Abs(s.max)); s.max-s.min <= size*1e-6 || s.max-s.min < 1e-25 {
		half := max(size/2, 1e-24)
		if s.Unit == Count {
			half = max(half, 1)
		}
		s.min, s.max = s.min-half, s.max+half
	}
}

func (s *scale) fitLinear(f fit) {
	if s.min >= 0 && (f.zero || !f.tight || s.min < s.max/2) {
		s.min = 0
	}
	if f.zero && s.max < 0 {
		s.max = 0
	}
	if s.Unit == Share && s.max > 0.5 && s.max <= 1 {
		s.max = 1
	}
	if s.min == 0 && s.max == 0 {
		s.max = 1
	}
	s.widen()
	if f.tight {
		if room := (s.max - s.min) * 0.03; f.pad {
			s.max += room
			if s.min != 0 {
				s.min -= room
			}
		}
		return
	}
	for range 3 { // rounding widens the range, which may widen the step
		step := s.step(f.ticks)
		s.min = math.Floor(s.min/step+1e-9) * step
		if s.max != 1 || s.Unit != Share {
			s.max = math.Ceil(s.max/step-1e-9) * step
		}
	}
}

func (s *scale) fitLog(f fit) {
	s.widen()
	if f.tight {
		if f.pad {
			room := math.Pow(s.max/s.min, 0.03)
			s.min, s.max = s.min/room, s.max*room
		}
		return
	}
	if s.max/s.min > 30 {
		s.min = math.Pow(10, math.Floor(math.Log10(s.min)+1e-9))
		s.max = math.Pow(10, math.Ceil(math.Log10(s.max)-1e-9))
		return
	}
	s.min, s.max = round125(s.min, math.Floor), round125(s.max, math.Ceil)
}

// round125 rounds to the next 1, 2 or 5 times a power of ten, down or up.
func round125(v float64, direction func(float64) float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	up := direction(0.5) == 1
	rounded := decade
	for _, m := range []float64{1, 2, 5, 10} {
		if up && m*decade >= v*(1-1e-9) {
			return m * decade
		}
		if !up && m*decade <= v*(1+1e-9) {
			rounded = m * decade
		}
	}
	return rounded
}

// step returns the distance of about n ticks on a linear axis: 1, 2 or 5 times
// a power of ten, or what clocks have of 60.
func (s *scale) step(n float64) float64 {
	span := (s.max - s.min) / n
	if s.Unit == Seconds && s.max > 180 && s.max < 48*3600 {
		for _, clock := range []float64{10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600} {
			if clock >= span*0.99 {
				return clock
			}
		}
	}
	step := round125(span*0.99, math.Ceil)
	if s.Unit == Count {
		step = max(step, 1)
	}
	return step
}

// tick is a place on an axis; a minor one has no label.
type tick struct {
	at    float64
	label string
}

// ticks returns at most about n labelled ticks, ascending.
func (s *scale) ticks(n float64) []tick {
	if s.Log {
		if t := s.logTicks(n); t != nil {
			return t
		}
	}
	return s.linearTicks(n)
}

func (s *scale) linearTicks(n float64) []tick {
	step := s.step(n)
	first, last := math.Ceil(s.min/step-1e-6), math.Floor(s.max/step+1e-6)
	largest := max(math.Abs(first), math.Abs(last)) * step
	u := s.Unit.suffix(largest)
	if (s.Unit == Number || s.Unit == Count) && (largest < 9999 || step < u.scale/100) {
		u = suffix{1, ""}
	}
	if s.Unit == Seconds && u.scale >= 60 && math.Mod(step, u.scale) != 0 {
		u = suffix{1, "s"}
		if math.Mod(step, 60) == 0 {
			u = suffix{60, "min"}
		}
	}
	var t []tick
	for i := first; i <= last && len(t) < 200; i++ {
		v := i * step
		if s.Log && v < valueMin {
			continue
		}
		label := decimal(v/u.scale, step/u.scale)
		if v != 0 || u.name == "%" {
			label = u.join(label)
		}
		t = append(t, tick{v, label})
	}
	return t
}

// decimal writes a multiple of step with the digits that step has.
func decimal(v, step float64) string {
	places := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	switch size := math.Abs(v); {
	case size < step/2:
		return "0"
	case places > 4 && size < 1e-3 || size >= 1e15:
		if v < 0 {
			return "−" + power(size)
		}
		return power(size)
	}
	text := grouped(strconv.FormatFloat(math.Abs(v), 'f', places, 64))
	if v < 0 {
		return "−" + text
	}
	return text
}

// logTicks returns ticks at powers of ten, with 2 and 5 times them where there
// is room, and unlabelled ones between. It is nil if the axis spans too little.
func (s *scale) logTicks(n float64) []tick {
	low, high := math.Floor(math.Log10(s.min)+1e-9), math.Ceil(math.Log10(s.max)-1e-9)
	decades := math.Log10(s.max / s.min)
	if decades < 1 {
		return nil
	}
	stride := max(1, math.Ceil(decades/n))
	var t []tick
	for d := low; d <= high; d++ {
		for m := 1.0; m < 10; m++ {
			v := m * math.Pow(10, d)
			if !s.holds(v) || !s.draws(v) {
				continue
			}
			fine := (m == 2 || m == 5) && 3*decades <= n
			switch {
			case m == 1 && math.Mod(d-low, stride) == 0 || fine:
				t = append(t, tick{v, logLabel(s.Unit, v)})
			case stride == 1 && decades <= 8 || m == 1:
				t = append(t, tick{at: v})
			}
		}
	}
	return t
}

func logLabel(u Unit, v float64) string {
	if u == Number || u == Count {
		if v < 0.9e-3 || v >= 0.9e15 {
			return power(v)
		}
		if v < 0.99 {
			return digits(v, 1)
		}
	}
	if v < 0.9e-6 || v >= 0.9e15 {
		return power(v)
	}
	s := u.suffix(v)
	return s.join(digits(v/s.scale, 1))
}
