package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// The first two lines of a libp2p swarm key, the file format of network keys.
const (
	keyFormat   = "/key/swarm/psk/1.0.0/"
	keyEncoding = "/base16/"
)

func (a *app) keygenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keygen [FILE]",
		Short: "Make a key for a private network",
		Long: `Make a random key for a private network, in the format of libp2p swarm keys, and
print it, or write it to FILE with mode 0600. FILE must not exist. Nodes whose
--psk files hold the same key form a network; others are let in by none of them.`,
		Example: "  busnode keygen ~/net.key && busnode run --psk ~/net.key",
	}
	return a.does(cmd, 0, 1, resultOutputs, func(_ context.Context, args []string) error {
		key := make([]byte, 32)
		rand.Read(key) // never fails, says its documentation
		text := hex.EncodeToString(key)
		if len(args) == 0 {
			return a.printResult(map[string]string{"format": keyFormat, "key": text}, func(w *bytes.Buffer) {
				fmt.Fprintf(w, "%s\n%s\n%s\n", keyFormat, keyEncoding, text)
			})
		}
		if err := writeNew(args[0], fmt.Appendf(nil, "%s\n%s\n%s\n", keyFormat, keyEncoding, text)); err != nil {
			return err
		}
		return a.printResult(map[string]string{"file": args[0]}, func(*bytes.Buffer) {})
	})
}

// writeNew writes a secret to a file that must not exist.
func writeNew(path string, secret []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	_, err = io.Copy(f, bytes.NewReader(secret))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
