package chart

import (
	"math"
	"strconv"
	"testing"
)

type rgb [3]float64 // linear light

func parse(t *testing.T, hex string) (c rgb) {
	t.Helper()
	for i := range c {
		v, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		s := float64(v) / 255
		c[i] = s / 12.92
		if s > 0.04045 {
			c[i] = math.Pow((s+0.055)/1.055, 2.4)
		}
	}
	return c
}

func (c rgb) luminance() float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }

// contrast is WCAG 2's.
func contrast(a, b rgb) float64 {
	x, y := a.luminance()+0.05, b.luminance()+0.05
	return max(x/y, y/x)
}

// lab is CIELAB's place of a color under D65.
func (c rgb) lab() [3]float64 {
	f := func(v float64) float64 {
		if v = max(v, 0); v > 0.008856 {
			return math.Cbrt(v)
		}
		return 7.787*v + 16.0/116
	}
	x := f((0.4124*c[0] + 0.3576*c[1] + 0.1805*c[2]) / 0.95047)
	y := f(c.luminance())
	z := f((0.0193*c[0] + 0.1192*c[1] + 0.9505*c[2]) / 1.08883)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// sights are full deuteranopia, protanopia, tritanopia (Machado et al. 2009) and
// the common sight.
var sights = map[string][3]rgb{
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
	"common":       {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
}

func (c rgb) seen(sight [3]rgb) (s rgb) {
	for i, row := range sight {
		for j, part := range row {
			s[i] += part * c[j]
		}
	}
	return s
}

func TestThePaletteIsToldApartByEverybody(t *testing.T) {
	const apart = 20 // ten times what is just noticed side by side
	for scheme, colors := range palette {
		paper := parse(t, [2]string{tones[0].light, tones[0].dark}[scheme])
		for i, hex := range colors {
			color := parse(t, hex)
			if got := contrast(color, paper); got < 3 {
				t.Errorf("%s: contrast %.2f with the paper, want 3", hex, got)
			}
			for j, other := range colors[:i] {
				for name, sight := range sights {
					a, b := color.seen(sight).lab(), parse(t, other).seen(sight).lab()
					if d := math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2]); d < apart {
						t.Errorf("colors %d and %d, %s and %s, are %.0f apart under %s", j+1, i+1, other, hex, d, name)
					}
				}
			}
		}
	}
}

func TestTextHasContrast(t *testing.T) {
	for scheme := range palette {
		tone := make(map[string]rgb)
		for _, c := range tones {
			tone[c.name] = parse(t, [2]string{c.light, c.dark}[scheme])
		}
		for _, text := range []string{"ink", "soft"} {
			for _, ground := range []string{"paper", "card"} {
				if got := contrast(tone[text], tone[ground]); got < 4.5 {
					t.Errorf("scheme %d: %s on %s has contrast %.2f, want 4.5 (AA)", scheme, text, ground, got)
				}
			}
		}
	}
}
