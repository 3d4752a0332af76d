package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// pictureFlags say where pictures of a result go.
type pictureFlags struct {
	report, plot string // "": none
}

func (p *pictureFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&p.report, "report", "", "write a page with all pictures to this `file` (.html)")
	fs.StringVar(&p.plot, "plot", "", "write the most telling plot to this `file` (.svg)")
}

func (p *pictureFlags) wanted() bool { return p.report != "" || p.plot != "" }

// check refuses files that could not be written, before anybody waits for their contents.
func (p *pictureFlags) check() error {
	for _, f := range []struct{ flag, path, suffix string }{
		{"report", p.report, ".html"}, {"plot", p.plot, ".svg"},
	} {
		if f.path == "" {
			continue
		}
		if !strings.EqualFold(filepath.Ext(f.path), f.suffix) {
			return usagef("--%s %s: name the file with %s", f.flag, printable(f.path), f.suffix)
		}
		if info, err := os.Stat(filepath.Dir(f.path)); err != nil || !info.IsDir() {
			return usagef("--%s %s: there is no directory %s", f.flag, printable(f.path),
				printable(filepath.Dir(f.path)))
		}
		if info, err := os.Stat(f.path); err == nil && info.IsDir() {
			return usagef("--%s %s: that is a directory", f.flag, printable(f.path))
		}
	}
	return nil
}

// writeWhole writes a file by way of another name, so that nobody finds half of it.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", path, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
