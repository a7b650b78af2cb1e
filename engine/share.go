package engine

import "lunar/lun"

// Share implements lun.Sharer. The file system may take as long as it likes, so it has a
// goroutine of its own; a reactor has no more of them than pieces of copies.
func (k *core) Share(s *lun.Sharing) {
	k.engine.keepers.Add(1)
	go func() {
		defer k.engine.keepers.Done()
		s.Do()
		home := k.engine.cores[s.Reactor()]
		k.engine.on(home, func() { home.local.Shared(s) })
	}()
}
