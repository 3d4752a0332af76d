package reconcile

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/busnode/busnode/gossip/wire"
)

// Keys and mapping are part of the protocol: another implementation has to get the same.
func TestKeyVectors(t *testing.T) {
	link := LinkKey(1, 2)
	if link != LinkKey(2, 1) {
		t.Error("the order of the two numbers matters")
	}
	session := sessionKey(link, 3, 4, "orders.eu")
	digest := Digest{1, 2, 3}
	for _, c := range []struct {
		name string
		got  any
		want any
	}{
		{"link", link, Key{0x06ab8f9db371ee71, 0x0f6704f47ad9c4be}},
		{"open", openKey(link, 3), Key{0x001a7df0464d5d3f, 0x90cd8159a7ea60a5}},
		{"session", session, Key{0x97b966f723577eeb, 0x6d29176a7ba0ffea}},
		{"digest in 64 bits", link.digest64(&digest), uint64(0x76f2537c88524b39)},
		{"digest in 32 bits", session.digest32(&digest), uint32(0x18e30d10)},
		{"digest of nothing", link.digest64(&Digest{}), uint64(0)},
	} {
		if c.got != c.want {
			t.Errorf("%s = %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

func TestSymbolVectors(t *testing.T) {
	key := sessionKey(LinkKey(1, 2), 3, 4, "orders.eu")
	for _, c := range []struct {
		id    wire.BatchID
		short uint64
		check uint32
		first []uint32
	}{
		{wire.BatchID{}, 0x3e7ae7d6a1ae, 0x3b038c, []uint32{0, 1, 2, 3, 4, 6, 7, 16}},
		{wire.BatchID{1, 2, 3}, 0xeaab3b3318e3, 0xfde40b, []uint32{0, 2, 3, 5, 6, 21, 34, 38}},
		{item(0, 7).ID, 0x497e530b200c, 0xe29b7f, []uint32{0, 2, 4, 7, 24, 30, 54, 177}},
	} {
		short := key.short(&c.id)
		check, state := key.expand(short)
		indices := []uint32{0}
		for at := uint32(0); len(indices) < 8; {
			state, at = next(state, at)
			indices = append(indices, at)
		}
		if short != c.short || check != c.check || !slices.Equal(indices, c.first) {
			t.Errorf("%x: {%#x, %#x, %#v}, want {%#x, %#x, %v}", c.id[:4], short, check, indices, c.short, c.check, c.first)
		}
	}
}

func TestMappingIsThatOfRatelessIBLT(t *testing.T) {
	const items, symbols = 100_000, 300
	r := rand.New(rand.NewPCG(5, 6))
	var ours, paper [symbols]float64
	for range items {
		_, state := testLink.expand(r.Uint64() >> 16)
		for at := uint32(0); at < symbols; {
			ours[at]++
			state, at = next(state, at)
		}
		for at := 0.0; at < symbols; at += math.Ceil((at + 1.5) * (1/math.Sqrt(1-r.Float64()) - 1)) {
			paper[int(at)]++
		}
	}
	for i := range ours {
		// Six standard deviations of the difference.
		if slack := 6 * math.Sqrt(ours[i]+paper[i]); math.Abs(ours[i]-paper[i]) > slack {
			t.Errorf("symbol %d has %v items, want %v ± %v", i, ours[i], paper[i], slack)
		}
		if want := items / (1 + float64(i)/2); math.Abs(ours[i]-want) > 0.05*want+6*math.Sqrt(want) {
			t.Errorf("symbol %d has %v items, want %v", i, ours[i], want)
		}
	}
}

func TestMappingAscends(t *testing.T) {
	for _, state := range []uint64{1, math.MaxUint64, 0x8000000000000001, 0x5deece66d} {
		for _, at := range []uint32{0, 1, 1000, 1 << 18, 1 << 30} {
			if _, to := next(state, at); to <= at {
				t.Errorf("next(%#x, %d) = %d", state, at, to)
			}
		}
	}
}

// decodeAll returns how many symbols it takes to find d differences, and the estimate
// of them after 32 symbols, or as many as it took.
func decodeAll(t *testing.T, key Key, shorts []uint64) (symbols int, estimate int) {
	t.Helper()
	items := make([]coded, len(shorts))
	for i, s := range shorts {
		_, state := key.expand(s)
		items[i] = coded{short: s, state: state}
	}
	dec := decoder{key: key}
	for !dec.done() {
		n := max(1, len(dec.cells)/64)
		if len(dec.cells) > 100*len(shorts)+1000 {
			t.Fatal("does not decode")
		}
		var sides [2][]wire.Symbol
		sides[0], sides[1] = make([]wire.Symbol, n), make([]wire.Symbol, n)
		from := uint32(len(dec.cells))
		for i := range items {
			check, _ := key.expand(items[i].short)
			items[i].add(sides[i%2], from, check, 1)
		}
		dec.take(sides[0], sides[1])
		dec.peel()
		if len(dec.cells) <= 32 {
			estimate = dec.differences()
		}
	}
	if len(dec.found) != len(shorts) {
		t.Fatalf("found %d of %d", len(dec.found), len(shorts))
	}
	return len(dec.cells), estimate
}

func TestSymbolsNeeded(t *testing.T) {
	for _, c := range []struct{ d, runs, min, max int }{ // mean symbols, times 100
		{1, 50, 100, 100}, {2, 300, 270, 350}, {10, 300, 1650, 1850}, {100, 100, 14000, 15200}, {1000, 30, 134000, 142000},
	} {
		r := rand.New(rand.NewPCG(7, uint64(c.d)))
		sum, estimates := 0, 0
		for range c.runs {
			shorts := make([]uint64, c.d)
			for i := range shorts {
				shorts[i] = r.Uint64() >> 16
			}
			symbols, estimate := decodeAll(t, Key{r.Uint64(), r.Uint64()}, shorts)
			sum, estimates = sum+symbols, estimates+estimate
		}
		if mean := 100 * sum / c.runs; mean < c.min || mean > c.max {
			t.Errorf("%d differences take %d/100 symbols, want %d to %d", c.d, mean, c.min, c.max)
		}
		if mean := 100 * estimates / c.runs / c.d; c.d >= 100 && (mean < 85 || mean > 115) {
			t.Errorf("%d differences are estimated at %d %% of that", c.d, mean)
		}
	}
}

// Who knows the key can make items that take part in none of the first symbols, so that
// these do not tell of them. Under a key of the session's own they are as any others.
func TestGroundItemsCostNothingUnderAFreshKey(t *testing.T) {
	const honest, ground, hidden = 100, 10, 300
	known := Key{1, 2}
	var grinded []wire.BatchID
	for n := uint64(0); len(grinded) < ground; n++ {
		id := item(0, n).ID
		if _, state := known.expand(known.short(&id)); hiddenUpto(state, hidden) {
			grinded = append(grinded, id)
		}
	}
	r := rand.New(rand.NewPCG(3, 3))
	shorts := func(key Key, ids []wire.BatchID) []uint64 {
		var list []uint64
		for i := range ids {
			list = append(list, key.short(&ids[i]))
		}
		return list
	}
	fill := func(ids []wire.BatchID) []wire.BatchID {
		for len(ids) < honest+ground {
			ids = append(ids, item(0, r.Uint64()).ID)
		}
		return ids
	}
	if n, _ := decodeAll(t, known, shorts(known, fill(grinded))); n < 2*honest+hidden/2 {
		t.Errorf("%d symbols under the key that the items were made for: the attack does not work", n)
	}
	plain, attacked := 0, 0
	for range 60 {
		key := Key{r.Uint64(), r.Uint64()}
		a, _ := decodeAll(t, key, shorts(key, fill(nil)))
		b, _ := decodeAll(t, key, shorts(key, fill(grinded)))
		plain, attacked = plain+a, attacked+b
	}
	if attacked > plain*105/100 {
		t.Errorf("%d symbols with ground items, %d without", attacked, plain)
	}
}

// hiddenUpto reports whether the item is in none of the symbols from 1 to m.
func hiddenUpto(state uint64, m uint32) bool {
	_, at := next(state, 0)
	return at > m
}
