package report

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

// What follows makes the data of the tests: a small epidemic of its own, for
// this package knows no simulator.

// overlay is a ring with random links, about degree links a node.
func overlay(r *rand.Rand, n, degree int) (edges [][2]int, neighbours [][]int) {
	neighbours = make([][]int, n)
	link := func(a, b int) {
		if a != b {
			edges = append(edges, [2]int{a, b})
			neighbours[a], neighbours[b] = append(neighbours[a], b), append(neighbours[b], a)
		}
	}
	for i := range n {
		link(i, (i+1)%n)
		for range degree/2 - 1 {
			link(i, r.IntN(n))
		}
	}
	return edges, neighbours
}

type arrival struct {
	at       float64
	to, from int
}

type arrivals []arrival

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i].at < a[j].at }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// flood spreads a rumor over the overlay: each node passes it on to all that it
// has links to, but for loss. A link takes 50 ms and some. silent nodes are down.
func flood(r *rand.Rand, neighbours [][]int, loss, silent float64) (nodes []Node, copies int) {
	nodes = make([]Node, len(neighbours))
	down := make([]bool, len(nodes))
	for i := range nodes {
		nodes[i] = Node{At: -1, Parent: -1}
		down[i] = i > 0 && r.Float64() < silent
	}
	queue := &arrivals{{0, 0, -1}}
	for queue.Len() > 0 {
		a := heap.Pop(queue).(arrival)
		if down[a.to] {
			continue
		}
		copies++
		if nodes[a.to].At >= 0 {
			continue
		}
		nodes[a.to].At, nodes[a.to].Parent = a.at, a.from
		for _, next := range neighbours[a.to] {
			if next != a.from && r.Float64() >= loss {
				heap.Push(queue, arrival{a.at + 0.050 + r.ExpFloat64()*0.006, next, a.to})
			}
		}
	}
	return nodes, copies - 1
}

// monger is rumor mongering by push with feedback and a counter of k, in
// synchronous cycles with uniform partners; see Push.
func monger(r *rand.Rand, n, k int) (course []State, traffic, last float64) {
	known, counter := make([]bool, n), make([]int, n)
	infective := []int{0}
	known[0] = true
	count, sent := 1, 0
	for cycle := 0; ; cycle++ {
		course = append(course, State{
			At: float64(cycle), Susceptible: float64(n-count) / float64(n),
			Infective: float64(len(infective)) / float64(n), Removed: float64(count-len(infective)) / float64(n),
		})
		if len(infective) == 0 {
			return course, float64(sent) / float64(n), last
		}
		var next, fresh []int
		before := append([]bool(nil), known...)
		for _, i := range infective {
			sent++
			to := (i + 1 + r.IntN(n-1)) % n
			if before[to] {
				counter[i]++
			} else {
				counter[i] = 0
			}
			if !known[to] {
				known[to] = true
				count++
				fresh = append(fresh, to)
			}
			if counter[i] < k {
				next = append(next, i)
			}
		}
		if len(fresh) > 0 {
			last = float64(cycle + 1)
		}
		infective = append(next, fresh...)
	}
}

// residues runs monger for k of 1 to 5 and returns traffic, k and residue.
func residues(r *rand.Rand, n, runs int) (byTraffic, byK Series, rows [][]string) {
	paper := [][3]string{
		{"18 %", "1.7", "16.8"},
		{"3.7 %", "3.3", "16.9"},
		{"1.1 %", "4.5", "17.4"},
		{"0.36 %", "5.6", "17.5"},
		{"0.12 %", "6.7", "17.7"},
	}
	byTraffic.Name, byK.Name = "push, feedback, counter", "push, feedback, counter"
	for k := 1; k <= 5; k++ {
		var s, m, last float64
		for range runs {
			course, traffic, arrived := monger(r, n, k)
			s += course[len(course)-1].Susceptible
			m += traffic
			last += arrived
		}
		s, m, last = s/float64(runs), m/float64(runs), last/float64(runs)
		note := fmt.Sprintf("k = %d", k)
		byTraffic.Points = append(byTraffic.Points, chart.Point{X: m, Y: s, Note: note})
		byK.Points = append(byK.Points, chart.Point{X: float64(k), Y: s})
		rows = append(rows, []string{
			fmt.Sprint(k), chart.Format(chart.Share, s), chart.Format(chart.Number, m),
			chart.Format(chart.Number, last), paper[k-1][0], paper[k-1][1], paper[k-1][2],
		})
	}
	return byTraffic, byK, rows
}

// sample is a whole report of n nodes with a bit of everything.
func sample(n int) Report {
	r := rand.New(rand.NewPCG(uint64(n), 4))
	edges, neighbours := overlay(r, n, 8)
	nodes, _ := flood(r, neighbours, 0.55, 0)
	if n <= 200 {
		nodes, _ = flood(r, neighbours, 0.6, 0.05)
	}
	var latencies []float64
	for range 20 {
		more, _ := flood(r, neighbours, 0.4, 0)
		for _, node := range more {
			if node.At > 0 {
				latencies = append(latencies, node.At)
			}
		}
	}
	course, _, _ := monger(r, n, 2)
	byTraffic, byK, rows := residues(r, 1000, 20)
	latency := NewLatency(latencies)
	rep := Report{
		Title: fmt.Sprintf("busnode sim: %d nodes, tree", n),
		Lead: fmt.Sprintf("%d nodes on links of 50 ms and 100 Mbit/s spread 1,000 events of 1 KiB from 20 publishers, "+
			"by the tree with anti-entropy behind it.", n),
		Tiles: []Tile{
			{Name: "Nodes", Value: float64(n), Unit: chart.Count},
			{Name: "Delivered", Value: 1, Unit: chart.Share, Note: "100,000 of 100,000"},
			{Name: "Residue", Value: 0, Unit: chart.Share},
			{Name: "Copies a node", Value: 1.0213, Note: "GossipSub: 6.9"},
			{Name: "Latency p50", Value: latency.P50, Unit: chart.Seconds},
			{Name: "Latency p99", Value: latency.P99, Unit: chart.Seconds, Note: "GossipSub: 200 ms"},
			{Name: "Latency max", Value: latency.Max, Unit: chart.Seconds},
			{Name: "Hops max", Value: 7, Unit: chart.Count},
			{Name: "Bytes a useful byte", Value: 1.287, Note: "GossipSub: 8.9"},
		},
		Epidemic: &Epidemic{
			Cycles: true, Measured: course, Theory: Push{Nodes: n, K: 2}.Curve(40),
			Law: "the mean-field recursion of push with feedback, counter 2", Note: "One run, synchronous cycles.",
		},
		Spread:  &Spread{Nodes: nodes, Edges: edges, Note: "The first event after the warm-up."},
		Latency: latency,
		Traffic: &Traffic{Kinds: []MessageKind{
			{"push, needed", Payload, 1, 1142},
			{"push, redundant", Redundant, 0.0213, 24.3},
			{"push, lost", Lost, 0.5, 600},
			{"have", Control, 1.84, 61.2},
			{"graft and prune", Control, 0.031, 0.9},
			{"heartbeat", Control, 0.12, 9.6},
		}, Note: "Application frames, without QUIC and UDP."},
		Laws: []Law{TrafficLaw(falls, byTraffic), CounterLaw(falls, byK)},
		Command: fmt.Sprintf("busnode sim --nodes %d --strategy tree --latency 50ms --bandwidth 100Mbit --events 1000 "+
			"--payload 1KiB --publishers 20 --seed 4 --report report.html", n),
		Seed: "4", Version: "0.4.0 (1a2b3c4)", Duration: "1 min 12 s",
		Parameters: []Parameter{
			{"nodes", fmt.Sprint(n)},
			{"degree", "8"},
			{"latency", "50 ms"},
			{"bandwidth", "100 Mbit/s"},
			{"payload", "1 KiB"},
			{"loss", "0"},
		},
	}
	rep.Tables = []Table{{
		Title: "Table 1 of Demers et al. 1987: push, feedback, counter", Note: "1,000 nodes, 20 runs.",
		Groups:  []Group{{"", 1}, {"measured", 3}, {"paper", 3}},
		Headers: []string{"k", "residue", "traffic", "t_last", "residue", "traffic", "t_last"}, Rows: rows,
	}}
	rep.Scaling, rep.Faults = scalingSample(r), faultSample()
	return rep
}

func scalingSample(r *rand.Rand) []Scaling {
	hops := Scaling{Title: "Hops to the last node", Label: "hops", Unit: chart.Number}
	messages := Scaling{Title: "Messages a node and event", Label: "messages", Unit: chart.Number}
	for n := 100.0; n <= 1e6; n *= 10 {
		h := 1.1 + 0.62*math.Log2(n) + r.Float64()*0.4
		m := 2.9 + r.Float64()*0.06
		hops.Points = append(hops.Points, ScalingPoint{n, h, h - 0.8, h + 1.1})
		messages.Points = append(messages.Points, ScalingPoint{n, m, m, m})
	}
	hops.Fit, messages.Fit = &Fit{A: 1.3, B: 0.89, R2: 0.9987}, &Fit{A: 2.93, B: 0.001, R2: 0.21}
	return []Scaling{hops, messages}
}

func faultSample() []Fault {
	return []Fault{{"partition, half and half", 20, 80}, {"churn of 1 % a second", 100, 160}, {"crash of half", 130, 0}}
}
