"""From recordings to tables: what chapters show and claims decide on, one module a subject.

All functions are pure: recordings in, tidy tables or small dataclasses out. "Live" ones search
the kept features now; the others read what was measured of all images.
"""
