// Package busnode_test holds the repository to its own rules.
package busnode_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/busnode/busnode/"

// lattice is the policy on who may import whom within the module. Each line
// is a package, a colon and all it may import. A name that ends in /* stands for
// the packages below it. Relaxing a line takes an ADR.
const lattice = `
gossip/wire:
gossip/reconcile: gossip/wire
gossip: gossip/wire gossip/reconcile
gossip/carrier: gossip/wire
gossip/eventlog: gossip/wire
gossip/driver: gossip gossip/wire gossip/carrier gossip/eventlog
gossip/sim: gossip gossip/wire gossip/reconcile
p2p: gossip/carrier gossip/wire p2p/*
p2p/*: gossip/carrier gossip/wire p2p/*
bus: gossip gossip/wire gossip/carrier gossip/driver gossip/eventlog p2p p2p/*
bus/*: bus gossip/carrier
cmd/busnode: bus bus/* gossip gossip/* p2p p2p/* cmd/busnode/*
cmd/busnode/*: bus bus/* gossip/wire cmd/busnode/*
examples/*: bus bus/* gossip gossip/* p2p p2p/*

gossip/carrier/carriertest: gossip/carrier gossip/wire
gossip/eventlog/eventlogtest: gossip/eventlog gossip/wire
`

// reasons says for each package why it may import no more.
var reasons = map[string]string{
	"gossip/wire":      "it is the leaf: the format must be readable without anything of ours",
	"gossip/reconcile": "it is pure, and other programs may want the set without the gossip",
	"gossip":           "the core is pure: what moves frames or stores batches is the driver's affair",
	"gossip/carrier":   "a carrier moves frames and knows no rumor",
	"gossip/eventlog":  "the log stores batches and knows no peer",
	"gossip/driver":    "it runs the core over the contracts; which carrier and which log is for bus to choose",
	"gossip/sim":       "it runs the production core, and nothing of the driver's may help it",
	"p2p":              "it moves opaque frames: a rumor that it knew could not travel by another carrier",
	"p2p/*":            "it moves opaque frames: a rumor that it knew could not travel by another carrier",
	"bus":              "what most users import must not compile an adapter's dependencies",
	"bus/*":            "adapters stand on the public API, as a user's own would",
	"cmd/busnode":      "the program is a leaf",
	"cmd/busnode/*":    "the program's parts speak to the public API",
	"examples/*":       "examples are leaves",

	"gossip/carrier/carriertest":   "a conformance suite sees the contract alone",
	"gossip/eventlog/eventlogtest": "a conformance suite sees the contract alone",
}

// rule finds the lattice's line for a package: its own, or the nearest with /*.
func rule(rules map[string][]string, pkg string) (name string, found bool) {
	if _, own := rules[pkg]; own {
		return pkg, true
	}
	for dir := path.Dir(pkg); dir != "."; dir = path.Dir(dir) {
		if _, above := rules[dir+"/*"]; above {
			return dir + "/*", true
		}
	}
	return "", false
}

// allows reports whether a rule's list names dep.
func allows(list []string, dep string) bool {
	return slices.ContainsFunc(list, func(name string) bool {
		dir, below := strings.CutSuffix(name, "*")
		return name == dep || below && strings.HasPrefix(dep, dir)
	})
}

func parseLattice() map[string][]string {
	rules := make(map[string][]string)
	for line := range strings.Lines(strings.TrimSpace(lattice)) {
		if pkg, deps, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			rules[pkg] = strings.Fields(deps)
		}
	}
	return rules
}

// eachFile parses every Go file of the module but the tests. The files are read
// in this process, not by «go list»: the test cache sees what a test opens,
// and would serve a stale «ok» for what a child opens.
func eachFile(t *testing.T, mode parser.Mode, f func(pkg, name string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			hidden := base != "." && strings.HasPrefix(base, ".")
			if hidden || base == "testdata" || name != "." && isModule(name) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, mode)
		if err != nil {
			return err
		}
		f(path.Dir(filepath.ToSlash(name)), name, fset, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isModule reports whether the folder is a module of its own.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func importPath(imp *ast.ImportSpec) string { return strings.Trim(imp.Path.Value, `"`) }

func TestPackagesImportOnlyWhatTheLatticeAllows(t *testing.T) {
	rules := parseLattice()
	seen := make(map[string]bool)
	eachFile(t, parser.ImportsOnly, func(pkg, name string, _ *token.FileSet, file *ast.File) {
		line, listed := rule(rules, pkg)
		if !listed {
			t.Errorf("%s: package %s is not in the lattice", name, pkg)
			return
		}
		seen[line] = true
		for _, imp := range file.Imports {
			dep, ours := strings.CutPrefix(importPath(imp), module)
			if ours && dep != pkg && !allows(rules[line], dep) {
				t.Errorf("%s: %s imports %s: %s", name, pkg, dep, reasons[line])
			}
		}
	})
	for line := range rules {
		if reasons[line] == "" {
			t.Errorf("the lattice's line of %s gives no reason", line)
		}
	}
	if len(seen) < 5 {
		t.Errorf("read only %d packages: is this the module's root?", len(seen))
	}
}

// outside is what packages may import from other modules, by the start of the
// path; the purity tests hold the core to less than the standard library.
// Packages that are not named are free.
var outside = []struct {
	pkg, reason string
	allowed     []string
}{
	{"gossip/wire", "every dependency of the format is one of each program that reads it", []string{
		"github.com/klauspost/compress/zstd",
		"github.com/mr-tron/base58",
		"google.golang.org/protobuf/encoding/protowire",
	}},
	{"gossip/reconcile", "a pure package has no dependencies but a hash", []string{"github.com/dchest/siphash"}},
	{"gossip", "the core has no dependencies but a hash", []string{"github.com/dchest/siphash"}},
	{"gossip/carrier", "a contract compiles nothing", nil},
	{"gossip/driver", "it takes bytes from one contract to another", nil},
	{"gossip/sim", "what the simulator runs is the core alone", nil},
	{"gossip/eventlog", "the log needs files and a lock, not a database", []string{
		"github.com/gofrs/flock",
		"github.com/google/renameio/v2",
		"golang.org/x/sys",
	}},
}

func TestThePackagesBelowHaveFewDependencies(t *testing.T) {
	eachFile(t, parser.ImportsOnly, func(pkg, name string, _ *token.FileSet, file *ast.File) {
		for _, o := range outside {
			if o.pkg != pkg {
				continue
			}
			for _, imp := range file.Imports {
				dep := importPath(imp)
				standard := !strings.Contains(strings.SplitN(dep, "/", 2)[0], ".")
				if standard || strings.HasPrefix(dep, module) {
					continue
				}
				if !slices.ContainsFunc(o.allowed, func(a string) bool { return strings.HasPrefix(dep, a) }) {
					t.Errorf("%s: %s imports %s: %s", name, pkg, dep, o.reason)
				}
			}
		}
	})
}

// heavy must not be compiled into every program that imports bus.
var heavy = []string{
	"github.com/ThreeDotsLabs/", "github.com/cloudevents/", "github.com/prometheus/", "github.com/spf13/",
	"github.com/libp2p/go-libp2p-pubsub", "gocloud.dev",
}

func TestBusImportsNoAdapter(t *testing.T) {
	eachFile(t, parser.ImportsOnly, func(pkg, name string, _ *token.FileSet, file *ast.File) {
		if top, _, _ := strings.Cut(pkg, "/"); pkg != "bus" && top != "p2p" && top != "gossip" {
			return
		}
		for _, imp := range file.Imports {
			for _, h := range heavy {
				if strings.HasPrefix(importPath(imp), h) {
					t.Errorf("%s imports %s: importing bus must not compile it", name, importPath(imp))
				}
			}
		}
	})
}

// transportWords is all that p2p may know of the format: identifiers and limits.
var transportWords = []string{
	"AuthorOf", "Author", "PeerID", "ValidNetwork",
	"ControlFrameMaxBytes", "FrameMaxBytes", "NetworkMax", "BatchMaxBytes", "RecordMaxBytes",
	"ErrVersion", "Negotiate", "VersionMax", "VersionMin",
}

func TestTransportKnowsOnlyIdentifiersAndLimitsOfTheFormat(t *testing.T) {
	eachFile(t, parser.SkipObjectResolution, func(pkg, name string, fset *token.FileSet, file *ast.File) {
		if top, _, _ := strings.Cut(pkg, "/"); top != "p2p" {
			return
		}
		local := ""
		for _, imp := range file.Imports {
			if importPath(imp) == module+"gossip/wire" {
				local = "wire"
				if imp.Name != nil {
					local = imp.Name.Name
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && local != "" && x.Name == local && !slices.Contains(transportWords, sel.Sel.Name) {
				t.Errorf("%s: p2p uses wire.%s: it moves opaque frames", fset.Position(sel.Pos()), sel.Sel.Name)
			}
			return true
		})
	})
}
