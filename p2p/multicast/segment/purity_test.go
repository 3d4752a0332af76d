package segment

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// TestPurity holds the engine to what lets its tests replay: no goroutine, channel
// or lock, no clock, and no chance but what it is given.
func TestPurity(t *testing.T) {
	banned := map[string]string{
		"time": "Now Since Until After AfterFunc Tick NewTimer NewTicker Sleep",
		"rand": "Int IntN Int64N Uint32 Uint64 Float64 Perm Shuffle N NormFloat64 ExpFloat64",
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		read++
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			switch path := strings.Trim(imp.Path.Value, `"`); path {
			case "sync", "sync/atomic", "os", "net", "context", "log/slog", "runtime", "crypto/rand", "maps":
				t.Errorf("%s imports %s", file.Name(), path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			at := func(what string) { t.Errorf("%s: %s", fset.Position(n.Pos()), what) }
			switch n := n.(type) {
			case *ast.GoStmt:
				at("a goroutine")
			case *ast.ChanType:
				at("a channel")
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && strings.Contains(" "+banned[x.Name]+" ", " "+n.Sel.Name+" ") {
					at(x.Name + "." + n.Sel.Name)
				}
			case *ast.RangeStmt:
				if sel, ok := n.X.(*ast.SelectorExpr); ok && sel.Sel.Name == "byPeer" {
					at("a range over a map")
				}
			}
			return true
		})
	}
	if read < 10 {
		t.Errorf("read %d files: is this the package's folder?", read)
	}
}
