package config

// document is the file. Every key is here, and no other is accepted.
type document struct {
	State    string `toml:"state"`
	LogLevel string `toml:"log_level"`
	Admin    string `toml:"admin"`
	Metrics  string `toml:"metrics"`

	Reactors  reactors      `toml:"reactors"`
	Limits    limits        `toml:"limits"`
	Groups    []portalGroup `toml:"portal_group"`
	Discovery discovery     `toml:"discovery"`
	Units     []unit        `toml:"unit"`
	Targets   []target      `toml:"target"`
}

type reactors struct {
	Count *int   `toml:"count"`
	CPUs  []int  `toml:"cpus"`
	Ring  string `toml:"ring"`
	Poll  string `toml:"poll"`
}

type limits struct {
	LoginTime       string `toml:"login_time"`
	PingTime        string `toml:"ping_time"`
	Logins          *int   `toml:"logins"`
	LoginsPerSource *int   `toml:"logins_per_source"`
}

type portalGroup struct {
	Tag       *int     `toml:"tag"`
	Portals   []string `toml:"portals"`
	Access    string   `toml:"access"`
	Preferred bool     `toml:"preferred"`
}

type discovery struct {
	CHAP *chap `toml:"chap"`
}

type unit struct {
	Name      string `toml:"name"`
	Medium    string `toml:"medium"`
	Path      string `toml:"path"`
	Size      string `toml:"size"`
	BlockSize *int   `toml:"block_size"`
	Cache     string `toml:"cache"`
	Direct    string `toml:"direct"`
	Sync      *bool  `toml:"sync"`
	Removable *bool  `toml:"removable"`
	// Protection is the protection type that the unit is formatted with at first.
	Protection *int `toml:"protection"`
}

type target struct {
	Name     string    `toml:"name"`
	Alias    string    `toml:"alias"`
	Groups   []int     `toml:"portal_groups"`
	Keys     *keys     `toml:"keys"`
	LUNs     []mapping `toml:"lun"`
	CHAP     *chap     `toml:"chap"`
	Access   []access  `toml:"access"`
	Redirect *redirect `toml:"redirect"`
}

// keys are our side of a negotiation (RFC 3720 §12).
type keys struct {
	InitialR2T               *bool   `toml:"initial_r2t"`
	ImmediateData            *bool   `toml:"immediate_data"`
	MaxBurstLength           *uint32 `toml:"max_burst_length"`
	FirstBurstLength         *uint32 `toml:"first_burst_length"`
	MaxRecvDataSegmentLength *uint32 `toml:"max_recv_data_segment_length"`
	MaxOutstandingR2T        *uint32 `toml:"max_outstanding_r2t"`
	MaxConnections           *uint32 `toml:"max_connections"`
	ErrorRecoveryLevel       *uint32 `toml:"error_recovery_level"`
	DefaultTime2Wait         *uint32 `toml:"default_time2wait"`
	DefaultTime2Retain       *uint32 `toml:"default_time2retain"`
}

type mapping struct {
	Number   int    `toml:"number"`
	Unit     string `toml:"unit"`
	ReadOnly bool   `toml:"read_only"`
}

type access struct {
	Initiator string   `toml:"initiator"`
	Sources   []string `toml:"sources"`
	Deny      bool     `toml:"deny"`
	// LUNs is a pointer because an empty list means none, and no list the target's.
	LUNs *[]mapping `toml:"lun"`
	CHAP *chap      `toml:"chap"`
}

type chap struct {
	Users        []credentials `toml:"users"`
	Mutual       *credentials  `toml:"mutual"`
	Algorithms   []string      `toml:"algorithms"`
	ShortSecrets bool          `toml:"short_secrets"`
}

type credentials struct {
	Name   string `toml:"name"`
	Secret string `toml:"secret"`
}

type redirect struct {
	To        []string `toml:"to"`
	Permanent bool     `toml:"permanent"`
}
