package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildVersion is what the program knows of its own making.
type buildVersion struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
}

func currentVersion() buildVersion {
	v := buildVersion{Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version"}
	return a.does(cmd, 0, 0, resultOutputs, func(context.Context, []string) error {
		v := currentVersion()
		return a.printResult(v, func(w *bytes.Buffer) {
			fmt.Fprintf(w, "busnode %s %s %s/%s", v.Version, v.Go, v.OS, v.Arch)
			if v.Revision != "" {
				fmt.Fprintf(w, " %.12s", v.Revision)
			}
			if v.Modified {
				fmt.Fprint(w, " (modified)")
			}
			fmt.Fprintln(w)
		})
	})
}
