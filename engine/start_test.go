package engine

import (
	"testing"

	"lunar/reactor"
)

// loopback is one portal group that anything can bind.
var loopback = []string{"127.0.0.1:0"}

// testConfig is a configuration of unpinned reactors.
func testConfig(t testing.TB, reactors int, units ...Unit) Config {
	c := Single(DefaultTarget, loopback, units...)
	c.Ring, c.Poll, c.State = "auto", reactor.Sleep, t.TempDir()
	for range reactors {
		c.CPUs = append(c.CPUs, -1)
	}
	return c
}

// start runs an engine for the length of a test.
func start(t testing.TB, c Config) *Engine {
	t.Helper()
	e, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}
