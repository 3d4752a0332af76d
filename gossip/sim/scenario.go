package sim

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/busnode/busnode/gossip"
)

// ErrScenario is wrapped by errors about a script that cannot be run as it is
// written. They name file and line, and say what may stand there.
var ErrScenario = errors.New("sim: mistake in the scenario")

// ErrUnexpected is wrapped by the error of an expectation of a script that was
// not met. It names file and line, and what was seen.
var ErrUnexpected = errors.New("sim: not as expected")

// ErrEnded is the error of a script that its caller ended.
var ErrEnded = errors.New("sim: ended by its caller")

// Scenario is a script: a network, what befalls it, and what is expected of it,
// line by line. docs/simulator.md has its language, and [Verbs] in short.
type Scenario struct {
	name   string
	params Params
	config gossip.Config
	steps  []step
	nodes  int // that there are at the end, up or not
}

// step is a line of a script.
type step struct {
	line int
	text string
	do   action
}

// action carries a step out and says what came of it.
type action func(p *play) (seen string, err error)

// play is a scenario that runs.
type play struct {
	sim      *Sim
	ended    func() bool // whether the caller ends it
	checkers []Checker
	bounded  *BoundedChecker
	walls    []*Partition
	skipped  int // publications of nodes that were not up, or whose log took no writes
	base     Tally
	first    int // index of the first batch that counts
}

// ParseScenario reads a script; name is what errors call it by. All that can be
// wrong about a line but for the state that it meets is found here. The error wraps
// [ErrScenario].
func ParseScenario(name string, text []byte) (*Scenario, error) {
	s := &Scenario{name: name, config: gossip.DefaultConfig()}
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		do, err := s.parse(words)
		if err != nil {
			return nil, fmt.Errorf("%w: %s:%d: %w", ErrScenario, name, i+1, err)
		}
		if do != nil {
			s.steps = append(s.steps, step{i + 1, strings.Join(words, " "), do})
		}
	}
	if err := s.config.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrScenario, name, err)
	}
	if s.nodes == 0 {
		return nil, fmt.Errorf("%w: %s: there are no nodes; begin with a line such as: nodes 20", ErrScenario, name)
	}
	return s, nil
}

func (s *Scenario) parse(words []string) (action, error) {
	for _, v := range verbs {
		if v.name != words[0] {
			continue
		}
		if v.before && s.nodes > 0 {
			return nil, fmt.Errorf("%s comes too late: put it before the first line with nodes", v.name)
		}
		if v.after && s.nodes == 0 {
			return nil, fmt.Errorf("%s comes too early: put it after a line such as: nodes 20", v.name)
		}
		a := &args{words: words[1:], nodes: s.nodes}
		do := v.parse(s, a)
		a.end()
		if a.err != nil {
			return nil, fmt.Errorf("%w; it is: %s %s", a.err, v.name, v.usage)
		}
		return do, nil
	}
	names := make([]string, len(verbs))
	for i, v := range verbs {
		names[i] = v.name
	}
	return nil, fmt.Errorf("there is no %q; a line begins with one of %s", words[0], strings.Join(names, ", "))
}

// Verbs returns what a line of a script may be, one a line.
func Verbs() []string {
	list := make([]string, len(verbs))
	for i, v := range verbs {
		list[i] = strings.TrimSpace(v.name + " " + v.usage)
	}
	return list
}

// Run plays the script and writes a line for each of its own: the virtual time,
// the line, and what came of it. It ends with the first expectation that is
// not met, with an error that wraps [ErrUnexpected], or where a line does not fit
// what it meets, with one that wraps [ErrScenario], or with an error of w's.
//
// ended, if not nil, is asked after each line, and while time passes; once it reports true,
// the script ends with [ErrEnded].
func (s *Scenario) Run(w io.Writer, ended func() bool) error {
	if ended == nil {
		ended = endless
	}
	params, config := s.params, s.config
	params.Config, params.Trace = &config, true
	p := &play{sim: New(params), ended: ended}
	p.checkers = Checkers(p.sim)
	for _, c := range p.checkers {
		if b, ok := c.(*BoundedChecker); ok {
			p.bounded = b
		}
	}
	p.base = p.sim.Tally()
	for _, st := range s.steps {
		seen, err := st.do(p)
		switch {
		case ended():
			return fmt.Errorf("%w: %s:%d: %s", ErrEnded, s.name, st.line, st.text)
		case err != nil:
			return fmt.Errorf("%w: %s:%d: %s: %w", kindOf(err), s.name, st.line, st.text, err)
		}
		told := strings.TrimRight(fmt.Sprintf("%10.3fs  %-36s  %s", p.sim.Now().Seconds(), st.text, seen), " ")
		if _, err := fmt.Fprintln(w, told); err != nil {
			return fmt.Errorf("sim: scenario %s: %w", s.name, err)
		}
	}
	return nil
}

// misfit is a line that does not fit what it meets.
type misfit struct{ error }

func misfitf(format string, args ...any) error { return misfit{fmt.Errorf(format, args...)} }

func kindOf(err error) error {
	if _, ok := errors.AsType[misfit](err); ok {
		return ErrScenario
	}
	return ErrUnexpected
}

// amiss says what is not well, or nil: connections that are not up, logs at work,
// batches that are not shown to readers, or not where they belong.
func (s *Sim) amiss() error {
	for _, n := range s.nodes {
		if !n.Up() {
			continue
		}
		for _, peer := range n.kept {
			if peer.Up() && n.linkTo(peer) == nil {
				return fmt.Errorf("nodes %d and %d are not connected", n.Index, peer.Index)
			}
		}
		if n.log.writes > 0 || n.log.refuses {
			return fmt.Errorf("node %d's log is at work", n.Index)
		}
		if i := n.Waiting(); i >= 0 {
			return fmt.Errorf("node %d has not shown %s to its readers", n.Index, s.spot(i))
		}
	}
	for _, m := range s.Missing(1) {
		return fmt.Errorf("node %d lacks %s, which node %d, connected with it, holds",
			m.Node.Index, s.spot(m.Batch), m.Holder.Index)
	}
	return nil
}

// until lets time pass until is returns nil or ended reports true, at most d. It returns what is
// returned last.
func (s *Sim) until(d time.Duration, is func() error, ended func() bool) error {
	for end := s.Now() + d; ; s.RunUntil(min(lookEvery, end-s.Now()), ended) {
		err := is()
		if err == nil || s.Now() >= end || ended() {
			return err
		}
	}
}
