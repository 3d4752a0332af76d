package main

import "testing"

func TestBringYourOwnHost(t *testing.T) {
	if err := run(t.Context()); err != nil {
		t.Error(err)
	}
}
