module samovar.example/sam-tests

go 1.26.3

require (
	github.com/eyedeekay/sam3 v0.33.8
	github.com/go-i2p/go-sam-go v0.33.1
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/eyedeekay/i2pkeys v0.33.8 // indirect
	github.com/go-i2p/common v0.1.59999 // indirect
	github.com/go-i2p/crypto v0.1.59999 // indirect
	github.com/go-i2p/i2pkeys v0.33.92 // indirect
	github.com/go-i2p/logger v0.1.59999 // indirect
	github.com/oklog/ulid/v2 v2.1.1 // indirect
	github.com/samber/lo v1.53.0 // indirect
	github.com/samber/oops v1.22.0 // indirect
	github.com/sirupsen/logrus v1.9.4 // indirect
	go.opentelemetry.io/otel v1.44.0 // indirect
	go.opentelemetry.io/otel/trace v1.44.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
	golang.org/x/text v0.37.0 // indirect
)
