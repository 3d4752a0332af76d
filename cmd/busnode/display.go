package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// display shows how a long command gets on: on a terminal a line that is drawn
// again and again, elsewhere a line when a step is done. It writes to standard
// error. Its methods are safe for concurrent use.
type display struct {
	w       io.Writer
	live    bool
	colored bool
	start   time.Time
	width   int
	ticker  *time.Ticker
	ended   chan struct{}
	drawing sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	step    string
	details []string
	figures map[string]string
	stopped bool
}

const redraw = 100 * time.Millisecond

func (a *app) newDisplay() *display {
	d := &display{
		w: a.stderr, live: a.isTerminal(a.stderr), colored: a.colored(a.stderr), start: time.Now(), width: 80,
		figures: map[string]string{}, ended: make(chan struct{}),
	}
	if !d.live {
		return d
	}
	if f, ok := a.stderr.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
			d.width = width
		}
	}
	d.ticker = time.NewTicker(redraw)
	d.drawing.Go(func() {
		for {
			select {
			case <-d.ticker.C:
				d.draw()
			case <-d.ended:
				return
			}
		}
	})
	return d
}

// begin says what is under way.
func (d *display) begin(format string, args ...any) {
	d.mu.Lock()
	d.step, d.details, d.figures = fmt.Sprintf(format, args...), nil, map[string]string{}
	d.mu.Unlock()
	if d.live {
		d.draw()
	}
}

// held says how far a node has come.
func (d *display) held(node string, have, want int) {
	d.figure(node, fmt.Sprintf("%d%%", have*100/max(want, 1)))
}

// figure sets a named figure of the live line.
func (d *display) figure(name, value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.figures[name]; !ok {
		d.details = append(d.details, name)
	}
	d.figures[name] = value
}

// done says what has been done.
func (d *display) done(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step = ""
	d.clear()
	mark, reset := "", ""
	if d.colored {
		mark, reset = "\x1b[32m", "\x1b[0m"
	}
	fmt.Fprintf(d.w, "%s%6.2f s%s  %s\n", mark, time.Since(d.start).Seconds(), reset, fmt.Sprintf(format, args...))
}

// stop ends the live line. It is idempotent.
func (d *display) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	d.stopped = true
	d.clear()
	if d.live {
		d.ticker.Stop()
		close(d.ended)
	}
}

func (d *display) clear() {
	if d.live {
		fmt.Fprint(d.w, "\r\x1b[K")
	}
}

func (d *display) draw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.step == "" || d.stopped {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%6.2f s  %s …", time.Since(d.start).Seconds(), d.step)
	for _, name := range d.details {
		fmt.Fprintf(&b, "  %s %s", name, d.figures[name])
	}
	line := []rune(b.String())
	fmt.Fprintf(d.w, "\r\x1b[K%s", string(line[:min(len(line), d.width-1)]))
}
