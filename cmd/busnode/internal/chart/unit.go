package chart

import (
	"math"
	"strconv"
	"strings"
)

// Unit is what an axis or a figure counts. Values are in base units.
type Unit uint8

// The units.
const (
	Number  Unit = iota // any number
	Count               // whole numbers: nodes, cycles, hops
	Seconds             // shown in µs, ms, s, min, h
	Bytes               // shown in B, kB (1,000), MB, …
	Share               // of 1, shown in percent
)

// space keeps a number and its unit on one line.
const space = "\u00a0"

type suffix struct {
	scale float64
	name  string
}

// suffixes of each unit, descending. The last holds for all that is smaller.
var suffixes = map[Unit][]suffix{
	Number:  {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}},
	Count:   {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}},
	Seconds: {{3600, "h"}, {60, "min"}, {1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}},
	Bytes:   {{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}, {1, "B"}},
	Share:   {{1e-2, "%"}},
}

// suffix returns the suffix that shows v well: the largest that v reaches.
func (u Unit) suffix(v float64) suffix {
	list := suffixes[u]
	v = math.Abs(v)
	for _, s := range list {
		least := s.scale
		if u == Seconds && s.scale >= 60 {
			least *= 2 // 90 s rather than 1.5 min
		}
		if v >= least*(1-1e-9) {
			return s
		}
	}
	return list[len(list)-1]
}

func (s suffix) join(number string) string {
	switch s.name {
	case "":
		return number
	case "k", "M", "G", "T":
		return number + s.name
	}
	return number + space + s.name
}

// Format writes a value for people, to about three digits: «183 ms», «3.68 %»,
// «12,345», «1.02». A share below 1 is never rounded up to 100 %, nor one above
// 0 down to 0. What is no number is «–».
func Format(u Unit, v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case v < 0:
		return "−" + Format(u, -v)
	case v == 0 && u == Seconds:
		return "0" + space + "s"
	case v == 0:
		return u.suffix(0).join("0")
	case u == Share:
		return formatShare(v)
	case (u == Number || u == Count) && v < 1e7:
		return formatNumber(u, v)
	}
	if u == Seconds && v >= 120 && v < 1e7 {
		return formatClock(v)
	}
	s := u.suffix(v)
	if s.name == "s" && v < 1 || v/s.scale >= 1e6 || v/s.scale < 1e-3 {
		return s.join(power(v / s.scale))
	}
	return s.join(digits(v/s.scale, 3))
}

func formatShare(v float64) string {
	text := digits(v*100, 3)
	if v < 1 && strings.HasPrefix(text, "100") {
		text = "99.99"
		for _, more := range []string{"99.999", "99.9999"} {
			if limit, _ := strconv.ParseFloat(more, 64); v*100 >= limit {
				text = more
			}
		}
		text = "> " + text
	}
	return text + space + "%"
}

// formatClock writes 120 s or more: «2 min 5 s», «3 h 20 min».
func formatClock(v float64) string {
	s := int(math.Round(v))
	large, small, names := s/60, s%60, [2]string{"min", "s"}
	if s >= 7200 {
		m := (s + 30) / 60
		large, small, names = m/60, m%60, [2]string{"h", "min"}
	}
	text := grouped(strconv.Itoa(large)) + space + names[0]
	if small > 0 {
		text += space + strconv.Itoa(small) + space + names[1]
	}
	return text
}

func formatNumber(u Unit, v float64) string {
	if u == Count && v >= 1 || v >= 1000 {
		return grouped(strconv.FormatFloat(math.Round(v), 'f', 0, 64))
	}
	return digits(v, 3)
}

// digits writes v > 0 with at least n significant digits, all digits before the
// point, and without zeros at the end of the fraction.
func digits(v float64, n int) string {
	if v < 1e-4 || v >= 1e15 {
		return power(v)
	}
	places := max(0, n-1-int(math.Floor(math.Log10(v))))
	text := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return grouped(text)
}

// grouped puts commas into the whole part of a number with over three digits.
func grouped(text string) string {
	whole, fraction, found := strings.Cut(text, ".")
	if len(whole) > 3 {
		for i := len(whole) - 3; i > 0; i -= 3 {
			whole = whole[:i] + "," + whole[i:]
		}
	}
	if found {
		return whole + "." + fraction
	}
	return whole
}

var superscripts = strings.NewReplacer("-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴",
	"5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹")

// power writes v > 0 as a product with a power of ten: «3.2·10⁻⁵».
func power(v float64) string {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', 1, 64), "e")
	e, _ := strconv.Atoi(exponent)
	ten := "10" + superscripts.Replace(strconv.Itoa(e))
	switch mantissa = strings.TrimSuffix(mantissa, ".0"); mantissa {
	case "1":
		return ten
	default:
		return mantissa + "·" + ten
	}
}
