"""Invented words: people, firms, streets and goods. None is real; some carry letters beyond ASCII on purpose."""

from __future__ import annotations

FIRST = (
    "Ada", "Björn", "Chloé", "Dmitri", "Esra", "Farah", "Gülşen", "Hiroshi", "Inès", "João", "Katarína", "Łukasz",
    "Māra", "Niamh", "Óscar", "Priya", "Quentin", "Renée", "Søren", "Thảo", "Ulrike", "Václav", "Wendy", "Zoë",
)  # fmt: skip
LAST = (
    "Abbott", "Bergström", "Cárdenas", "Dubois", "Eriksen", "Fontaine", "Grünwald", "Horváth", "Ito", "Jansen",
    "Kowalski", "Lefèvre", "Müller", "Nakamura", "O'Connor", "Peña", "Rossi", "Šimek", "Tanaka", "Vogel",
)  # fmt: skip
FIRM = (
    "Amber", "Birch", "Cobalt", "Delta", "Elm", "Falcon", "Granit", "Harbour", "Iris", "Juniper", "Köln", "Lumière",
    "Meridian", "Nordic", "Opal", "Pine", "Quartz", "Ridge", "Sierra", "Tundra", "Umbra", "Vega", "Willow", "Zürich",
)  # fmt: skip
TRADE = (
    "Foods", "Optics", "Logistics", "Textiles", "Robotics", "Café & Bar", "Bau", "Marine", "Médical", "Print",
    "Systems", "Werkstatt", "Supplies", '"Quality" Tools', "Energy", "商事",
)  # fmt: skip
FORM = ("Inc.", "LLC", "GmbH", "SARL", "Ltd", "K.K.", "AG", "S.p.A.")
STREET = ("Mill Road", "Rue des Lilas", "Hafenstraße", "Station Lane", "Sakura-dori", "Via Nuova", "Market Square")
CITY = ("Portland", "Austin", "Lyon", "Ulm", "München", "大阪", "København", "Gdańsk", "Leeds", "Málaga")
CITY_COUNTRY = ("US", "US", "FR", "DE", "DE", "JP", "DK", "PL", "GB", "ES")
ADJECTIVE = (
    ("Compact", "compact"), ("Heavy", "lourd"), ("Quiet", "silencieux"), ("Modular", "modulaire"), ("Fine", "fin"),
    ("Sealed", "étanche"), ("Folding", "pliant"), ("Portable", "portatif"), ("Insulated", "isolé"), ("Dual", "double"),
)  # fmt: skip
GOODS = (
    ("Pump", "Pompe"), ("Valve", "Vanne"), ("Sensor", "Capteur"), ("Bracket", "Équerre"), ("Cable", "Câble"),
    ("Gearbox", "Réducteur"), ("Lamp", "Lampe"), ("Cabinet", "Armoire"), ("Filter", "Filtre"), ("Gauge", "Jauge"),
    ("Coupling", "Raccord"), ("Motor", "Moteur"),
)  # fmt: skip
SERVICES = (("Installation", "Installation"), ("Calibration", "Étalonnage"), ("Training", "Formation"))
# code, English, French, calling code, currency (1 USD, 2 EUR, 3 JPY; None when not kept)
COUNTRIES = (
    ("US", "United States", "États-Unis", 1, 1), ("DE", "Germany", "Allemagne", 49, 2), ("JP", "Japan", "Japon", 81, 3),
    ("FR", "France", "France", 33, 2), ("ES", "Spain", "Espagne", 34, 2), ("DK", "Denmark", "Danemark", 45, None),
    ("PL", "Poland", "Pologne", 48, None), ("GB", "United Kingdom", "Royaume-Uni", 44, None),
)  # fmt: skip
STATES = (("US", "OR", "Oregon"), ("US", "TX", "Texas"), ("US", "NY", "New York"), ("JP", "27", "Ōsaka"))
