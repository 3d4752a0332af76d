package gossip_test

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"

	"github.com/busnode/busnode/gossip"
)

const module = "github.com/busnode/busnode/"

// pure maps the packages that must replay to where they are.
var pure = map[string]string{
	module + "gossip":           ".",
	module + "gossip/reconcile": "reconcile",
	module + "gossip/sim":       "sim",
}

// allowed is what they may import. Neither sync nor os nor context is here.
var allowed = map[string]bool{
	"bytes": true, "cmp": true, "crypto/sha256": true, "encoding/binary": true, "encoding/hex": true,
	"errors": true, "fmt": true, "hash": true, "hash/fnv": true, "iter": true, "math": true, "math/bits": true,
	"math/rand/v2": true, "slices": true, "sort": true, "strconv": true, "strings": true, "time": true,
	"container/heap":            true,
	"github.com/dchest/siphash": true,
	module + "gossip/wire":      true,
	module + "gossip/reconcile": true,
}

// simAllowed is what the simulator may import beside: it makes keys, counts messages by
// type, and writes to a writer that it is handed.
var simAllowed = map[string]bool{
	"crypto/ed25519": true, "io": true, "reflect": true, module + "gossip": true,
}

// banned are functions whose result depends on more than their arguments.
var banned = map[string]string{
	"time.Now": "time is an input", "time.Since": "time is an input", "time.Until": "time is an input",
	"time.After": "time is an input", "time.AfterFunc": "time is an input", "time.Tick": "time is an input",
	"time.NewTimer": "time is an input", "time.NewTicker": "time is an input", "time.Sleep": "time is an input",
	"time.Local": "the zone is the machine's",
	"fmt.Print":  "output is the caller's", "fmt.Printf": "output is the caller's",
	"fmt.Println": "output is the caller's",
	"fmt.Scan":    "input is the caller's", "fmt.Scanln": "input is the caller's", "fmt.Scanf": "input is the caller's",
}

// TestPurity holds the core to its contract: the same inputs give the same
// outputs. Each rule names what would break a replay.
func TestPurity(t *testing.T) {
	if gossip.RaceEnabled {
		t.Skip("skipped: type-checking the standard library takes long under the race detector; runs without it")
	}
	// With cgo, the importer would have to run a C compiler.
	defer func(on bool) { build.Default.CgoEnabled = on }(build.Default.CgoEnabled)
	build.Default.CgoEnabled = false
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "source", nil)
	for path, dir := range pure {
		for _, complaint := range check(t, fset, imports, path, parseDir(t, fset, dir)) {
			t.Error(complaint)
		}
	}
	for name, c := range impure {
		f, err := parser.ParseFile(fset, name, "package p\n"+c.code, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		complaints := strings.Join(check(t, fset, imports, "p", []*ast.File{f}), "\n")
		if !strings.Contains(complaints, c.complaint) {
			t.Errorf("%s: complaints %q, want %q", name, complaints, c.complaint)
		}
	}
}

// impure is code that the rules must refuse: a rule that cannot fail guards nothing.
var impure = map[string]struct{ code, complaint string }{
	"import":    {`import _ "os"`, "import of os"},
	"clock":     {`import "time"; var T = time.Now`, "time.Now"},
	"renamed":   {`import x "time"; func f() { x.Sleep(1) }`, "time.Sleep"},
	"map":       {`func f(m map[int]int) { for range m {} }`, "range over a map"},
	"named map": {`type M map[int]int; func f(m M) { for range m {} }`, "range over a map"},
	"generic":   {`func f[M ~map[int]int](m M) { for range m {} }`, "range over a map"},
	"goroutine": {`func f() { go f() }`, "go statement"},
	"select":    {`func f() { select {} }`, "select"},
	"channel":   {`var c chan int`, "channel"},
	"random":    {`import "math/rand/v2"; var n = rand.IntN(3)`, "rand.IntN"},
	"address":   {`import "fmt"; var s = fmt.Sprintf("%p", &s2); var s2 int`, "%p"},
}

// check returns what is wrong with the files of a package.
func check(t *testing.T, fset *token.FileSet, imports types.Importer, path string, files []*ast.File) []string {
	t.Helper()
	c := checker{fset: fset, info: &types.Info{
		Types: make(map[ast.Expr]types.TypeAndValue),
		Uses:  make(map[*ast.Ident]types.Object),
	}}
	conf := types.Config{Importer: imports}
	if _, err := conf.Check(path, fset, files, c.info); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, imp := range f.Imports {
			if p := strings.Trim(imp.Path.Value, `"`); !allowed[p] && (path != module+"gossip/sim" || !simAllowed[p]) {
				c.errorf(imp, "import of %s: not on the list of what keeps the core pure", p)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			c.visit(n)
			return true
		})
	}
	return c.complaints
}

// parseDir parses the files that the compiler would take for this platform
// without tags, but no tests.
func parseDir(t *testing.T, fset *token.FileSet, dir string) []*ast.File {
	t.Helper()
	pkg, err := build.Default.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

type checker struct {
	fset       *token.FileSet
	info       *types.Info
	complaints []string
}

func (c *checker) errorf(n ast.Node, format string, args ...any) {
	c.complaints = append(c.complaints, c.fset.Position(n.Pos()).String()+": "+fmt.Sprintf(format, args...))
}

func (c *checker) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.errorf(n, "go statement: the driver owns all goroutines")
	case *ast.SelectStmt:
		c.errorf(n, "select: its choice is random")
	case *ast.ChanType:
		c.errorf(n, "channel: inputs are calls, outputs are values")
	case *ast.RangeStmt:
		if isMap(c.info.Types[n.X].Type) {
			c.errorf(n, "range over a map: its order is random")
		}
	case *ast.BasicLit:
		if n.Kind == token.STRING && strings.Contains(n.Value, "%p") {
			c.errorf(n, "%%p: addresses differ between runs")
		}
	case *ast.Ident:
		c.use(n)
	}
}

// isMap reports whether t is a map, or a type parameter that may stand for one.
func isMap(t types.Type) bool {
	u := t.Underlying()
	if i, ok := u.(*types.Interface); ok {
		for e := range i.EmbeddedTypes() {
			if union, ok := e.(*types.Union); ok {
				for term := range union.Terms() {
					if isMap(term.Type()) {
						return true
					}
				}
			}
		}
	}
	_, ok := u.(*types.Map)
	return ok
}

// use checks a name that is used, in whatever way it was qualified.
func (c *checker) use(id *ast.Ident) {
	obj := c.info.Uses[id]
	if obj == nil || obj.Pkg() == nil {
		return
	}
	path := obj.Pkg().Path()
	if why, ok := banned[path+"."+obj.Name()]; ok && obj.Parent() == obj.Pkg().Scope() {
		c.errorf(id, "%s.%s: %s", path, obj.Name(), why)
	}
	fn, isFunc := obj.(*types.Func)
	if !isFunc || fn.Signature().Recv() != nil {
		return
	}
	// Package-level functions of rand draw from the global source.
	if path == "math/rand/v2" && !strings.HasPrefix(obj.Name(), "New") {
		c.errorf(id, "rand.%s: randomness comes from the injected source", obj.Name())
	}
	if path == "maps" {
		c.errorf(id, "maps.%s: its order is random", obj.Name())
	}
}
