package bus_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/busnode/busnode/bus"
)

// TestMetricsAreDocumented holds docs/metrics.md to the counters there are.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)`").FindAllSubmatch(page, -1) {
		documented = append(documented, string(row[1]))
	}
	b, err := bus.Open(t.Context(), bus.WithNetwork("metrics"), bus.WithListen("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	counters := b.Stats().Counters
	for name := range counters {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/metrics.md lacks %s", name)
		}
	}
	for i, name := range documented {
		if _, ok := counters[name]; !ok {
			t.Errorf("docs/metrics.md names %s, which there is not", name)
		}
		if slices.Contains(documented[:i], name) {
			t.Errorf("docs/metrics.md names %s twice", name)
		}
	}
}
