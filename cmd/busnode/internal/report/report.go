// Package report writes what a simulation found as one self-contained page: no
// network, no other file, good on a screen of any width, light and dark, and on
// paper.
//
// It takes plain data and knows no simulator. Each section is left out when it
// has no data. Times are seconds of virtual time since the start of what is
// shown, unless a field says cycles; sizes are bytes; shares are of 1. The page
// depends on nothing but the Report: the same data gives the same bytes.
package report

import (
	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

// Report is all that a page shows, in the order of the page.
type Report struct {
	Title string // the page's title
	Lead  string // one sentence: what was run
	Tiles []Tile

	Epidemic *Epidemic
	Spread   *Spread
	Latency  *Latency
	Traffic  *Traffic
	Scaling  []Scaling
	Laws     []Law
	Tables   []Table
	// Faults are shaded in the epidemic's course, if that is in seconds.
	Faults []Fault

	// What it takes to repeat the run. Nothing in it may name the machine.
	Command    string // the whole command line
	Seed       string
	Version    string // of the program, with its commit
	Duration   string // simulated time
	Parameters []Parameter
}

// Tile is one of the main figures.
type Tile struct {
	Name  string
	Value float64
	Unit  chart.Unit
	Text  string // shown in place of Value, if set
	Note  string // smaller, below: «of 20,000», «GossipSub: 6.9»
}

// Parameter is a setting of the run by its name.
type Parameter struct{ Name, Value string }

// Epidemic is the course of a rumor: the shares of nodes that are susceptible,
// infective and removed.
type Epidemic struct {
	Cycles bool // At counts cycles, not seconds
	Note   string
	// Measured is drawn solid, ascending in At. Of long courses evenly chosen
	// points are drawn.
	Measured []State
	// Theory is drawn dashed; Law says what it is. See Push.Curve.
	Theory []State
	Law    string
}

// State is the epidemic's at one instant. The three shares add up to 1.
type State struct {
	At                              float64
	Susceptible, Infective, Removed float64
}

// Spread is the way of one rumor over the overlay.
type Spread struct {
	Cycles bool // At of the nodes counts cycles, not seconds
	Note   string
	// Nodes by number. Of more than NodesMax, some are drawn and the page says
	// so: each with those that brought it the rumor.
	Nodes []Node
	// Edges are the overlay's links, as pairs of numbers of nodes. They may be
	// left out.
	Edges [][2]int
}

// NodesMax is how many nodes of a Spread are drawn.
const NodesMax = 2000

// Node is a node of a Spread.
type Node struct {
	Name   string  // "" for «node 17»
	At     float64 // when the rumor came; negative or NaN: never
	Parent int     // who brought it; -1 for the origin and where it never came
}

// Latency is the distribution of the time from an event's publishing to its
// delivery, over all events and nodes. NewLatency makes it.
type Latency struct {
	Samples       int
	Bins          []Bin // ascending, without overlap
	Long          bool  // the axis is logarithmic: the tail is long
	P50, P99, Max float64
	Note          string
}

// Bin is one bar of a histogram.
type Bin struct {
	From, To float64
	Count    int
}

// Traffic is what was sent to a node for an event, by kind of message: averages
// over all nodes and events.
type Traffic struct {
	Kinds []MessageKind
	Note  string
}

// MessageKind is one kind of message of Traffic.
type MessageKind struct {
	Name     string
	Class    Class
	Messages float64 // a node and event; for payload: copies
	Bytes    float64 // a node and event
}

// Class says what a kind of message is worth.
type Class uint8

// The classes.
const (
	Payload   Class = iota + 1 // the copy that a node needed
	Redundant                  // payload that a node held already
	Lost                       // payload that did not arrive
	Control                    // all else
)

// Series is a named curve or a set of points.
type Series struct {
	Name   string
	Points []chart.Point
}

// Scaling is a quantity against the number of nodes.
type Scaling struct {
	Title  string
	Label  string // the quantity: «hops to the last node»
	Unit   chart.Unit
	Note   string
	Points []ScalingPoint
	Fit    *Fit
}

// ScalingPoint is what was measured with a number of nodes. Low and High are
// the least and the greatest of several runs; equal, they are not drawn.
type ScalingPoint struct {
	Nodes, Value, Low, High float64
}

// Fit is the law y = A + B·ln n, and R2 how much of the variance it explains.
type Fit struct{ A, B, R2 float64 }

// Law is a law of theory with what was measured on it.
type Law struct {
	Title    string
	Formula  string // «s = e⁻ᵐ»
	Note     string
	X, Y     chart.Axis
	Curve    []chart.Point // drawn dashed
	Measured []Series
}

// Table is any table: a sweep's rows, or a paper's beside ours.
type Table struct {
	Title, Note string
	// Groups span columns with a heading of their own, from the left: «measured»
	// over three, «paper» over three. They may be left out.
	Groups  []Group
	Headers []string
	Rows    [][]string
}

// Group is a heading over some columns of a Table.
type Group struct {
	Name    string // "" for none
	Columns int
}

// Fault is what was done to the network. An instant, such as a crash, has no To.
type Fault struct {
	Name     string // «partition, half and half»
	From, To float64
}
