package discovery

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	filePeersMax = 64
	fileAddrsMax = 4 // of one peer
	fileBytesMax = 256 << 10
)

// readPeers returns the peers in a file: a full multiaddress a line, the best
// peer first. Lines that are none are left out, and reported in the error
// beside the peers of the others.
func readPeers(path string) ([]peer.AddrInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return parsePeers(io.LimitReader(f, fileBytesMax))
}

func parsePeers(r io.Reader) ([]peer.AddrInfo, error) {
	var lines []string
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		line := strings.TrimSpace(scanner.Text())
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	infos, err := ParseAddrs(lines...)
	return infos[:min(len(infos), filePeersMax)], errors.Join(err, scanner.Err())
}

// writePeers replaces the file, whole or not at all.
func writePeers(path string, infos []peer.AddrInfo) error {
	var text strings.Builder
	for _, info := range infos {
		for _, addr := range info.Addrs[:min(len(info.Addrs), fileAddrsMax)] {
			fmt.Fprintf(&text, "%s/p2p/%s\n", addr, info.ID)
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp*")
	if err != nil {
		return err
	}
	_, err = io.WriteString(tmp, text.String())
	if err = errors.Join(err, tmp.Close()); err == nil {
		// Not synced: a crash of the machine costs old addresses at most.
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // err says what matters
	}
	return err
}
