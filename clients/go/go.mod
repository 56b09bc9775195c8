module samovar.example/sam

go 1.22
