package bus_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuaranteesNameTests checks that the tests named in docs/guarantees.md are
// where it says.
func TestGuaranteesNameTests(t *testing.T) {
	text, err := os.ReadFile("../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile("- `([a-z0-9/_]+_test\\.go)`:((?:,?\\s+`Test\\w+`)+)")
	items := list.FindAllStringSubmatch(string(text), -1)
	if len(items) < 10 {
		t.Fatalf("only %d lists of tests found", len(items))
	}
	for _, item := range items {
		source, err := os.ReadFile(filepath.Join("..", item[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(item[2], -1) {
			if !strings.Contains(string(source), "func "+name+"(") {
				t.Errorf("%s has no %s", item[1], name)
			}
		}
	}
}
